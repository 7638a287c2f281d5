"""The tables of the state file, one step for each version. A released step never changes."""

from __future__ import annotations

#: ``STEPS[n]`` takes a file from version n to n + 1.
STEPS: tuple[str, ...] = (
    """
    CREATE TABLE folder (
        name TEXT PRIMARY KEY,
        path BLOB NOT NULL,
        device INTEGER,
        inode INTEGER,
        configured INTEGER NOT NULL,
        state TEXT NOT NULL,
        watch TEXT NOT NULL,
        reason TEXT,
        last_scan REAL
    ) STRICT;

    -- One row for each image, from before its first byte is sent until after its deletion is
    -- confirmed. inode to ctime_ns: the file at its last plan. sha256: of the bytes that the
    -- collection confirmed. dirty: planned and not confirmed. mark: the plan that a confirmation
    -- must match.
    CREATE TABLE image (
        image_id TEXT PRIMARY KEY,
        folder TEXT NOT NULL,
        directory BLOB NOT NULL,
        name BLOB NOT NULL,
        inode INTEGER NOT NULL,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        ctime_ns INTEGER NOT NULL,
        submount INTEGER NOT NULL,
        sha256 BLOB,
        synced_at REAL,
        image_time TEXT,
        dirty INTEGER NOT NULL,
        mark INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        retry_at REAL,
        error TEXT,
        held INTEGER NOT NULL DEFAULT 0,
        approved INTEGER NOT NULL DEFAULT 0,
        search_due INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE UNIQUE INDEX image_place ON image (folder, directory, name);
    -- Everything that a scan compares, so that it reads only this index.
    CREATE INDEX image_seen
        ON image (folder, directory, name, inode, size, mtime_ns, ctime_ns, held);
    CREATE INDEX image_inode ON image (inode);
    CREATE INDEX image_size ON image (size);
    CREATE INDEX image_sha256 ON image (sha256);
    -- The rows to send, ordered by the time at which they may be sent.
    CREATE INDEX image_due ON image (coalesce(retry_at, 0)) WHERE dirty AND NOT held;
    CREATE INDEX image_held ON image (folder) WHERE held;
    CREATE INDEX image_search_due ON image (synced_at) WHERE search_due;

    -- A digest of each directory listing that was equal to the rows. A trigger deletes it with the
    -- first change to what was compared.
    CREATE TABLE listing (
        folder TEXT NOT NULL,
        directory BLOB NOT NULL,
        digest BLOB NOT NULL,
        PRIMARY KEY (folder, directory)
    ) STRICT, WITHOUT ROWID;
    CREATE TRIGGER image_added AFTER INSERT ON image BEGIN
        DELETE FROM listing WHERE folder = new.folder AND directory = new.directory;
    END;
    CREATE TRIGGER image_removed AFTER DELETE ON image BEGIN
        DELETE FROM listing WHERE folder = old.folder AND directory = old.directory;
    END;
    CREATE TRIGGER image_changed
    AFTER UPDATE OF folder, directory, name, inode, size, mtime_ns, ctime_ns, held ON image BEGIN
        DELETE FROM listing WHERE folder = old.folder AND directory = old.directory;
        DELETE FROM listing WHERE folder = new.folder AND directory = new.directory;
    END;

    -- Deletions that were sent. The bulk guard counts those in its window.
    CREATE TABLE deletion (folder TEXT NOT NULL, at REAL NOT NULL) STRICT;
    CREATE INDEX deletion_at ON deletion (folder, at);

    -- Duplicates that were found, with a < b. rank: from the last search. finder: the image whose
    -- search found the other one.
    CREATE TABLE pair (
        a TEXT NOT NULL,
        b TEXT NOT NULL,
        finder TEXT NOT NULL,
        rank INTEGER NOT NULL,
        found_at REAL NOT NULL,
        alerted INTEGER NOT NULL,
        dismissed INTEGER NOT NULL DEFAULT 0,
        gone INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (a, b)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX pair_b ON pair (b);
    CREATE INDEX pair_untold ON pair (a) WHERE NOT alerted;

    CREATE TABLE fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
    """,
    # The ID of the file system that a folder is on, since another disk may have the same device
    # number and the same inode of its root directory. 0: unknown.
    "ALTER TABLE folder ADD COLUMN file_system INTEGER NOT NULL DEFAULT 0;",
    # What the collection reports about a pair: the kind, which image to keep and why, and the bytes
    # that were compared. A dismissal is stored by bytes, with a < b, so that it applies whatever
    # IDs the images get.
    """
    ALTER TABLE pair ADD COLUMN kind TEXT;
    ALTER TABLE pair ADD COLUMN better TEXT;
    ALTER TABLE pair ADD COLUMN reason TEXT;
    ALTER TABLE pair ADD COLUMN a_sha256 BLOB;
    ALTER TABLE pair ADD COLUMN b_sha256 BLOB;
    CREATE TABLE dismissal (
        a BLOB NOT NULL,
        b BLOB NOT NULL,
        PRIMARY KEY (a, b)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    -- What the last full scan of a folder left out, as JSON: {reason: {suffix: count}}. selection:
    -- the digest of the include and exclude patterns that last decided image.left_out.
    ALTER TABLE folder ADD COLUMN left_out TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE folder ADD COLUMN selection TEXT;
    -- The collection has the image, but the configuration now leaves its file out. Nothing is sent
    -- for the image, and a scan does not expect its file.
    ALTER TABLE image ADD COLUMN left_out INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX image_left_out ON image (folder) WHERE left_out;
    DROP INDEX image_seen;
    CREATE INDEX image_seen
        ON image (folder, directory, name, inode, size, mtime_ns, ctime_ns, held, left_out);
    DROP TRIGGER image_changed;
    CREATE TRIGGER image_changed
    AFTER UPDATE OF folder, directory, name, inode, size, mtime_ns, ctime_ns, held, left_out
    ON image BEGIN
        DELETE FROM listing WHERE folder = old.folder AND directory = old.directory;
        DELETE FROM listing WHERE folder = new.folder AND directory = new.directory;
    END;
    -- The number of the newest image row when a deletion was noticed. Later rows are new files,
    -- which must not count among the images that a folder keeps.
    ALTER TABLE deletion ADD COLUMN newest INTEGER NOT NULL DEFAULT 9223372036854775807;
    -- When the folder's directory was created (Unix time in nanoseconds). 0: unknown.
    ALTER TABLE folder ADD COLUMN birth_ns INTEGER NOT NULL DEFAULT 0;
    -- The directory was recognised only by its content, and no scan has ended since.
    ALTER TABLE folder ADD COLUMN recognised_by_content INTEGER NOT NULL DEFAULT 0;
    -- A person accepted the directory as the folder, and its identity was not stored since.
    ALTER TABLE folder ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;
    -- The file was missing in the first scan of a disk that was recognised only by its content. The
    -- disk may be an older backup, so a person must approve the deletion.
    ALTER TABLE image ADD COLUMN needs_approval INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX image_needs_approval ON image (folder) WHERE needs_approval;
    -- Which image of a pair to keep is decided when the pair is shown, from the present files and
    -- from these facts. facts: what the collection reported about the picture with this digest, as
    -- JSON. folder to name: the last path of the image's file, if the file is gone.
    CREATE TABLE picture (
        image_id TEXT PRIMARY KEY,
        sha256 BLOB,
        facts TEXT NOT NULL DEFAULT '{}',
        folder TEXT,
        directory BLOB,
        name BLOB
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE pair DROP COLUMN better;
    ALTER TABLE pair DROP COLUMN reason;
    -- The rank from the last search for each image. NULL: that search did not find the other one.
    ALTER TABLE pair ADD COLUMN a_rank INTEGER;
    ALTER TABLE pair ADD COLUMN b_rank INTEGER;
    """,
    # image_unconfirmed: with this index, the confirmed images are compared with the collection's
    # listing without reading rows. listing: now also stores the names in a directory, and the stamp
    # of the directory (NULL if the stamp proves nothing). While the stamp is unchanged, only these
    # files are examined. names and directories are joined by slashes. left_out is JSON, as in
    # ``folder``.
    """
    CREATE INDEX image_unconfirmed ON image (image_id) WHERE sha256 IS NULL;
    DROP TABLE listing;
    CREATE TABLE listing (
        folder TEXT NOT NULL,
        directory BLOB NOT NULL,
        digest BLOB NOT NULL,
        device INTEGER,
        inode INTEGER,
        ctime_ns INTEGER,
        listed_at_ns INTEGER NOT NULL,
        names BLOB NOT NULL,
        directories BLOB NOT NULL,
        left_out TEXT NOT NULL,
        PRIMARY KEY (folder, directory)
    ) STRICT;
    """,
)

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

    -- One row an image, from before its first byte is sent until after its deletion is confirmed.
    -- inode to ctime_ns: the file as it was last planned for. sha256: the bytes that the collection
    -- confirmed. dirty: planned, and not confirmed yet; mark: which plan a confirmation answers.
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
    -- All that a scan compares: it reads this one alone.
    CREATE INDEX image_seen
        ON image (folder, directory, name, inode, size, mtime_ns, ctime_ns, held);
    CREATE INDEX image_inode ON image (inode);
    CREATE INDEX image_size ON image (size);
    CREATE INDEX image_sha256 ON image (sha256);
    -- What is to be sent, in the order of when it may be.
    CREATE INDEX image_due ON image (coalesce(retry_at, 0)) WHERE dirty AND NOT held;
    CREATE INDEX image_held ON image (folder) WHERE held;
    CREATE INDEX image_search_due ON image (synced_at) WHERE search_due;

    -- A digest of each directory's listing that was found to be what its rows say. It goes with the
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

    -- Deletions that were sent: the bulk guard counts those of its window.
    CREATE TABLE deletion (folder TEXT NOT NULL, at REAL NOT NULL) STRICT;
    CREATE INDEX deletion_at ON deletion (folder, at);

    -- Duplicates that were found, a < b. The rank is that of the last look; finder is the one of
    -- the two whose search found the other.
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
    # Which disk a folder is on, since a disk's device number, and the inode of its root directory,
    # may be those of another one. 0: not known, as in ``image.submount``.
    "ALTER TABLE folder ADD COLUMN file_system INTEGER NOT NULL DEFAULT 0;",
    # What the collection tells of a pair since it looks closer: the kind, the better one of the two
    # and why, and the bytes that were compared. A dismissal is of bytes, a < b, so that it holds
    # whatever IDs they get.
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
    -- What the last whole scan of a folder left out, as JSON: {reason: {suffix: count}}. selection:
    -- the digest of the include and exclude that image.left_out was last decided by.
    ALTER TABLE folder ADD COLUMN left_out TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE folder ADD COLUMN selection TEXT;
    -- An image that the collection holds, and whose file the configuration does not want any more.
    -- Nothing is due for it, and a scan does not expect its file.
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
    -- The newest image row when a deletion was noticed: later rows are new files, which must not
    -- count among the images that a folder keeps.
    ALTER TABLE deletion ADD COLUMN newest INTEGER NOT NULL DEFAULT 9223372036854775807;
    -- When the folder's directory was made (Unix time in nanoseconds); 0: not known.
    ALTER TABLE folder ADD COLUMN birth_ns INTEGER NOT NULL DEFAULT 0;
    -- Only its content says that it is the folder, and no scan has ended since.
    ALTER TABLE folder ADD COLUMN recognised_by_content INTEGER NOT NULL DEFAULT 0;
    -- A person said that it is the folder, and it was not looked at since.
    ALTER TABLE folder ADD COLUMN accepted INTEGER NOT NULL DEFAULT 0;
    -- The file was missing at the first scan of a disk that was recognised by its content alone. An
    -- older backup looks like that, so a person has to approve the deletion.
    ALTER TABLE image ADD COLUMN needs_approval INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX image_needs_approval ON image (folder) WHERE needs_approval;
    -- Which one of a pair to keep is decided when it is shown: from what the collection told of the
    -- two pictures when they were compared (facts: JSON, of the bytes with this digest), and from
    -- the files as they are. folder to name: where the image's file was last, once it has none.
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
    -- The rank that the last search of each side gave; null if it did not find the other.
    ALTER TABLE pair ADD COLUMN a_rank INTEGER;
    ALTER TABLE pair ADD COLUMN b_rank INTEGER;
    """,
    # The index: what is confirmed is compared with the collection's listing without reading a row.
    # listing: beside the digest, what a listing had and the stamp of its directory (NULL where it
    # proves nothing). While the stamp stays, only the named files are looked at. names and
    # directories are joined by slashes; left_out is JSON, as in ``folder``.
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

"""The first steps of the tables of the state file, up to groups of duplicates."""

from __future__ import annotations

#: The first entries of ``schema.STEPS``.
EARLY_STEPS: tuple[str, ...] = (
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
    # What the collection reports about a pair. Dismissals are stored by bytes, with a < b.
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
    # Duplicates are groups. A node stands for all images with the same bytes, so that thousands of
    # copies of one picture need no row for each two of them.
    """
    -- content: the SHA-256, or the ID of an image of which the collection tells no SHA-256. images:
    -- how many of our images have it; others: how many of other owners. internal: two of its images
    -- are duplicates of each other. last_group: the group that it was in last. changed: images
    -- joined or left since the groups were last brought up to date. found_at: when the newest image
    -- was found to have these bytes.
    CREATE TABLE node (
        node_id INTEGER PRIMARY KEY AUTOINCREMENT,
        content BLOB NOT NULL UNIQUE,
        images INTEGER NOT NULL DEFAULT 0,
        others INTEGER NOT NULL DEFAULT 0,
        internal INTEGER NOT NULL DEFAULT 0,
        facts TEXT NOT NULL DEFAULT '{}',
        found_at REAL NOT NULL DEFAULT 0,
        group_id INTEGER,
        last_group INTEGER,
        changed INTEGER NOT NULL DEFAULT 1
    ) STRICT;
    CREATE INDEX node_group ON node (group_id) WHERE group_id IS NOT NULL;
    CREATE INDEX node_last_group ON node (last_group) WHERE last_group IS NOT NULL;
    CREATE INDEX node_changed ON node (node_id) WHERE changed;
    -- Nodes that are like each other, a < b. a_rank, b_rank: the rank that the last search of each
    -- side gave; null if it did not find the other.
    CREATE TABLE link (
        a INTEGER NOT NULL,
        b INTEGER NOT NULL,
        rank INTEGER NOT NULL,
        kind TEXT,
        found_at REAL NOT NULL,
        a_rank INTEGER,
        b_rank INTEGER,
        dismissed INTEGER NOT NULL DEFAULT 0,
        gone INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (a, b)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX link_b ON link (b);
    -- "These are not duplicates of each other": the images that a person saw.
    CREATE TABLE decision (
        decision_id INTEGER PRIMARY KEY AUTOINCREMENT,
        at REAL NOT NULL,
        group_id INTEGER
    ) STRICT;
    CREATE TABLE decision_member (
        decision_id INTEGER NOT NULL,
        content BLOB NOT NULL,
        image_id TEXT NOT NULL,
        PRIMARY KEY (decision_id, content, image_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX decision_member_content ON decision_member (content);
    CREATE INDEX decision_member_image ON decision_member (image_id);
    -- linked_to: the image whose file this one's file is, under another name. named_in: the group
    -- in which an alert named or counted the image; 0 for an alert of an older version, until the
    -- groups are formed. alert_due: an alert for it is to be given.
    ALTER TABLE image ADD COLUMN linked_to TEXT;
    ALTER TABLE image ADD COLUMN named_in INTEGER;
    ALTER TABLE image ADD COLUMN alert_due INTEGER NOT NULL DEFAULT 0;
    -- Images with the same bytes and inode are probably hard links. Their searches will decide.
    UPDATE image SET search_due = 1, linked_to =
        (SELECT other.image_id FROM image AS other WHERE other.inode = image.inode
         AND other.sha256 = image.sha256 AND other.submount = image.submount
         AND other.rowid < image.rowid AND NOT other.left_out ORDER BY other.rowid LIMIT 1)
    WHERE NOT left_out AND EXISTS
        (SELECT 1 FROM image AS other WHERE other.inode = image.inode
         AND other.sha256 = image.sha256 AND other.submount = image.submount
         AND other.rowid < image.rowid AND NOT other.left_out);
    CREATE INDEX image_linked_to ON image (linked_to) WHERE linked_to IS NOT NULL;
    CREATE INDEX image_named_in ON image (named_in) WHERE named_in IS NOT NULL;
    CREATE INDEX image_alert_due ON image (image_id) WHERE alert_due;
    DROP INDEX image_sha256;
    CREATE INDEX image_sha256 ON image (sha256, named_in);
    -- A picture is an image of another owner, or (gone) one of ours that has no row any more.
    ALTER TABLE picture ADD COLUMN label TEXT;
    ALTER TABLE picture ADD COLUMN gone INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX picture_sha256 ON picture (sha256);

    CREATE TABLE old_pair (
        a TEXT NOT NULL, b TEXT NOT NULL, a_content BLOB NOT NULL, b_content BLOB NOT NULL,
        rank INTEGER NOT NULL, kind TEXT, by_a INTEGER NOT NULL, finder TEXT NOT NULL,
        found_at REAL NOT NULL, alerted INTEGER NOT NULL, dismissed INTEGER NOT NULL,
        gone INTEGER NOT NULL
    ) STRICT;
    INSERT INTO old_pair
        SELECT pair.a, pair.b,
            coalesce(nullif(a_sha256, x''), nullif(image_a.sha256, x''), picture_a.sha256,
                     CAST(pair.a AS BLOB)),
            coalesce(nullif(b_sha256, x''), nullif(image_b.sha256, x''), picture_b.sha256,
                     CAST(pair.b AS BLOB)),
            rank, kind, finder = pair.a, finder, found_at, alerted, dismissed, pair.gone <> 0
        FROM pair
        LEFT JOIN image AS image_a ON image_a.image_id = pair.a
        LEFT JOIN image AS image_b ON image_b.image_id = pair.b
        LEFT JOIN picture AS picture_a ON picture_a.image_id = pair.a
        LEFT JOIN picture AS picture_b ON picture_b.image_id = pair.b;
    INSERT OR IGNORE INTO node (content, found_at) SELECT a_content, found_at FROM old_pair
        ORDER BY found_at DESC;
    INSERT OR IGNORE INTO node (content, found_at) SELECT b_content, found_at FROM old_pair
        ORDER BY found_at DESC;
    UPDATE node SET
        facts = coalesce((SELECT facts FROM picture WHERE picture.sha256 = content), '{}'),
        images = (SELECT count(*) FROM image
                  WHERE sha256 = content AND NOT left_out AND linked_to IS NULL);
    INSERT OR IGNORE INTO picture (image_id) SELECT a FROM old_pair;
    INSERT OR IGNORE INTO picture (image_id) SELECT b FROM old_pair;
    DELETE FROM picture WHERE image_id IN (SELECT image_id FROM image);
    UPDATE picture SET facts = '{}', gone = folder IS NOT NULL, sha256 = coalesce(
        (SELECT a_content FROM old_pair WHERE a = image_id),
        (SELECT b_content FROM old_pair WHERE b = image_id), sha256);
    UPDATE picture SET gone = 1 WHERE NOT EXISTS
        (SELECT 1 FROM old_pair WHERE NOT old_pair.gone AND image_id IN (a, b));
    UPDATE node SET others =
        (SELECT count(*) FROM picture WHERE picture.sha256 = content AND NOT gone);
    INSERT OR IGNORE INTO link (a, b, rank, kind, found_at, a_rank, b_rank, dismissed, gone)
        SELECT min(node_a.node_id, node_b.node_id), max(node_a.node_id, node_b.node_id),
            rank, kind, old_pair.found_at,
            iif(by_a = (node_a.node_id < node_b.node_id), rank, NULL),
            iif(by_a = (node_a.node_id < node_b.node_id), NULL, rank),
            dismissed, gone
        FROM old_pair
        JOIN node AS node_a ON node_a.content = a_content
        JOIN node AS node_b ON node_b.content = b_content
        -- A dismissal is of bytes: it covers all pairs with these contents.
        WHERE a_content <> b_content ORDER BY dismissed DESC, gone, old_pair.found_at DESC;
    UPDATE image SET named_in = 0 WHERE image_id IN
        (SELECT a FROM old_pair WHERE alerted UNION SELECT b FROM old_pair WHERE alerted);
    UPDATE image SET alert_due = 1 WHERE image_id IN
        (SELECT finder FROM old_pair WHERE NOT alerted AND NOT dismissed AND NOT gone);
    INSERT INTO decision (decision_id, at) SELECT rowid, found_at FROM old_pair WHERE dismissed;
    INSERT OR IGNORE INTO decision_member
        SELECT rowid, a_content, a FROM old_pair WHERE dismissed
        UNION ALL SELECT rowid, b_content, b FROM old_pair WHERE dismissed;
    -- Dismissed bytes whose pair is not known any more.
    CREATE TABLE old_dismissal (a BLOB NOT NULL, b BLOB NOT NULL) STRICT;
    INSERT INTO old_dismissal SELECT a, b FROM dismissal WHERE NOT EXISTS
        (SELECT 1 FROM old_pair WHERE dismissed
         AND min(a_content, b_content) = dismissal.a AND max(a_content, b_content) = dismissal.b);
    INSERT INTO decision (decision_id, at)
        SELECT rowid + (SELECT count(*) + coalesce(max(rowid), 0) FROM old_pair), 0
        FROM old_dismissal;
    INSERT INTO decision_member
        SELECT rowid + (SELECT count(*) + coalesce(max(rowid), 0) FROM old_pair), a, ''
        FROM old_dismissal;
    INSERT INTO decision_member
        SELECT rowid + (SELECT count(*) + coalesce(max(rowid), 0) FROM old_pair), b, ''
        FROM old_dismissal;
    DROP TABLE old_dismissal;
    DROP TABLE old_pair;
    DROP TABLE dismissal;
    DROP TABLE pair;

    -- What an image was a duplicate of before it changed is listed as gone.
    CREATE TRIGGER image_changes AFTER UPDATE OF sha256 ON image
    WHEN new.sha256 <> old.sha256 AND EXISTS (SELECT 1 FROM node WHERE content = old.sha256) BEGIN
        INSERT OR REPLACE INTO picture (image_id, sha256, folder, directory, name, gone)
            VALUES (old.image_id, old.sha256, old.folder, old.directory, old.name, 1);
    END;
    -- A file that was edited stays a member, with its new bytes.
    CREATE TRIGGER decision_follows_image AFTER UPDATE OF sha256 ON image
    WHEN new.sha256 <> old.sha256 BEGIN
        INSERT OR IGNORE INTO decision_member
            SELECT decision_id, new.sha256, image_id FROM decision_member
            WHERE image_id = new.image_id AND content = old.sha256;
    END;
    -- The images that belong to nodes.
    CREATE VIEW node_image AS
        SELECT sha256 AS content, image_id FROM image WHERE NOT left_out AND linked_to IS NULL
        UNION ALL SELECT sha256, image_id FROM picture WHERE NOT gone;
    CREATE TRIGGER image_joins_node AFTER INSERT ON image
    WHEN new.sha256 IS NOT NULL AND NOT new.left_out BEGIN
        UPDATE node SET images = images + 1, changed = 1 WHERE content = new.sha256;
    END;
    CREATE TRIGGER image_leaves_node AFTER DELETE ON image
    WHEN old.sha256 IS NOT NULL AND NOT old.left_out AND old.linked_to IS NULL BEGIN
        UPDATE node SET images = images - 1, changed = 1 WHERE content = old.sha256;
    END;
    CREATE TRIGGER image_changes_node AFTER UPDATE OF sha256, left_out, linked_to ON image
    WHEN old.sha256 IS NOT new.sha256 OR old.left_out <> new.left_out
        OR old.linked_to IS NOT new.linked_to BEGIN
        UPDATE node SET images = images - 1, changed = 1
        WHERE content = old.sha256 AND NOT old.left_out AND old.linked_to IS NULL;
        UPDATE node SET images = images + 1, changed = 1
        WHERE content = new.sha256 AND NOT new.left_out AND new.linked_to IS NULL;
    END;
    """,
)

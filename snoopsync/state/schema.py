"""The tables of the state file, one step for each version. A released step never changes."""

from __future__ import annotations

from snoopsync.state.early_schema import EARLY_STEPS

#: ``STEPS[n]`` takes a file from version n to n + 1.
STEPS: tuple[str, ...] = (
    *EARLY_STEPS,
    # Of a million images, few have a deletion that is approved and not done.
    "CREATE INDEX image_approved ON image (folder) WHERE approved;",
    # named_in: as in ``image``, of an image of ours that has no row any more. If the same bytes
    # come back under its ID, an alert named them already.
    "ALTER TABLE picture ADD COLUMN named_in INTEGER;",
    # The collection reports images of other owners that are like ours. reported_pair: what it
    # reported and no search has looked at yet. match: the other owner's image. alert_due: an alert
    # for the other owner's image is to be given.
    """
    CREATE TABLE reported_pair (
        match TEXT NOT NULL,
        image_id TEXT NOT NULL,
        rank INTEGER NOT NULL,
        kind TEXT,
        label TEXT,
        PRIMARY KEY (match, image_id)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE picture ADD COLUMN alert_due INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX picture_alert_due ON picture (image_id) WHERE alert_due;
    """,
    # label_due: the label of the image in the collection may be another one than that of its file.
    """
    ALTER TABLE image ADD COLUMN label_due INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX image_label_due ON image (image_id) WHERE label_due;
    CREATE TRIGGER image_is_renamed AFTER UPDATE OF folder, directory, name ON image
    WHEN NOT old.label_due AND EXISTS (SELECT 1 FROM fact WHERE name = 'label host' AND value <> '')
    BEGIN UPDATE image SET label_due = 1 WHERE image_id = new.image_id; END;
    """,
    # relation: how the two pictures are related (``core.shots.Relation``); null if no search has
    # looked at their metadata. counts_as: what the relation counts as by the configuration.
    # has_duplicate: the node is internal or has an open link that counts as duplicate. Its group is
    # then one of duplicates, otherwise a series. Old links are searched for again, to get their
    # relations.
    """
    ALTER TABLE link ADD COLUMN relation TEXT
        CHECK (relation IN ('duplicate', 'companion', 'series'));
    ALTER TABLE link ADD COLUMN counts_as TEXT NOT NULL DEFAULT 'duplicate'
        CHECK (counts_as IN ('duplicate', 'companion', 'series'));
    CREATE INDEX link_relation ON link (relation) WHERE relation <> 'duplicate';
    ALTER TABLE node ADD COLUMN has_duplicate INTEGER NOT NULL DEFAULT 0;
    UPDATE node SET has_duplicate = group_id IS NOT NULL;
    DROP INDEX node_group;
    CREATE INDEX node_group ON node (group_id, has_duplicate) WHERE group_id IS NOT NULL;
    UPDATE image SET search_due = 1 WHERE NOT left_out AND sha256 IN
        (SELECT content FROM node WHERE node_id IN
         (SELECT a FROM link WHERE NOT gone UNION SELECT b FROM link WHERE NOT gone));
    """,
)

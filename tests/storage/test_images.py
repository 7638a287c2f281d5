"""What every engine does with the images of a collection."""

from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from snoopsync.core.errors import Conflict, NotFound
from snoopsync.decoding.features import FEED_VERSION, INDEXED_REGION_BYTES, REGION_BYTES
from snoopsync.storage.images import ImageStore
from tests.embedded.helpers import features
from tests.storage.conftest import Engine


def describe_by_older_version(engine: Engine, *image_ids: str) -> None:
    ids = ", ".join(f"'{each}'" for each in image_ids)
    engine.execute(f"UPDATE image SET feed = 1 WHERE id IN ({ids})")


def test_an_image_is_found_with_its_features_until_it_is_removed(store: ImageStore) -> None:
    stored = store.add("a", features(1), 10)
    assert store.find("a") == stored
    described = store.find_described("a")
    assert described is not None
    assert (described.stored, described.features) == (stored, features(1))
    assert store.remove("a") == stored
    assert store.find("a") is None
    assert store.find_described("a") is None
    with pytest.raises(NotFound):
        store.remove("a")


def test_an_id_has_one_image(store: ImageStore) -> None:
    store.add("a", features(1), 10)
    with pytest.raises(Conflict):
        store.add("a", features(2), 11)
    with pytest.raises(NotFound):
        store.replace("b", features(2), 11)


def test_moments_increase_whatever_the_clock_does(store: ImageStore) -> None:
    moments = [store.add(str(now), features(now), now).moment for now in (10, 5, 7, 30)]
    assert moments == [10, 11, 12, 30]
    assert [image.image_id for image in store.page(None, 9)] == ["30", "7", "5", "10"]
    assert [image.image_id for image in store.page(11, 1)] == ["5"]


def test_another_picture_gets_a_new_moment_and_the_same_bytes_keep_it(
    store: ImageStore, engine: Engine
) -> None:
    old = store.add("a", features(1), 10)
    before, after = store.replace("a", features(2), 20)
    assert (before, after.moment) == (old, 20)
    describe_by_older_version(engine, "a")
    before, after = store.replace("a", features(2), 30)
    assert before.is_outdated and not after.is_outdated
    assert (after.moment, after.mark) == (20, 30)


def test_only_an_images_own_bytes_renew_its_description(store: ImageStore, engine: Engine) -> None:
    stored = store.add("a", features(1), 10)
    assert store.renew("a", features(1), 20) == (stored, stored)
    describe_by_older_version(engine, "a")
    with pytest.raises(Conflict):
        store.renew("a", features(2), 20)
    _, renewed = store.renew("a", features(1), 20)
    assert (renewed.moment, renewed.mark, renewed.is_outdated) == (10, 20, False)
    with pytest.raises(NotFound):
        store.renew("b", features(1), 20)


def test_a_walk_does_not_see_later_changes(store: ImageStore) -> None:
    for number in range(3):
        store.add(str(number), features(number), number)
    walk = store.walk()
    block = next(walk)
    store.remove("1")
    assert [image_id for each in (block, *walk) for _, image_id in each] == ["2", "1", "0"]


def test_all_ids_are_read_in_ranges(store: ImageStore) -> None:
    for image_id in "cab":
        store.add(image_id, features(1), 0)
    first = store.ids("", 2)
    second = store.ids(first.last or "", 2)
    assert (first.ids(), first.last) == (["a", "b"], "b")
    assert (second.ids(), second.last) == (["c"], None)


def test_the_same_picture_has_the_same_bytes_or_the_same_pixels(store: ImageStore) -> None:
    store.add("bytes", features(1), 1)
    store.add("pixels", replace(features(2), digest=features(1).digest), 2)
    store.add("size", replace(features(3), digest=features(1).digest, width=9), 3)
    store.add("other", features(4), 4)
    marks = store.marks_of_same_picture(features(1), FEED_VERSION)
    assert sorted(marks) == [1, 2]
    assert store.marks_of_same_picture(features(1), FEED_VERSION + 1) == [1]


def test_pages_of_the_same_picture_leave_out_the_same_bytes(store: ImageStore) -> None:
    store.add("bytes", features(1), 1)
    for number in (2, 3):
        store.add(f"{number}", replace(features(number), digest=features(1).digest), number)
    first = store.same_picture(features(1), FEED_VERSION, 0, 1)
    rest = store.same_picture(features(1), FEED_VERSION, first[0].moment, 9)
    assert [each.image_id for each in (*first, *rest)] == ["2", "3"]


def test_codes_are_read_in_the_order_of_their_marks(store: ImageStore, engine: Engine) -> None:
    for number in range(1, 4):
        store.add(str(number), features(number), number)
    store.add("flat", replace(features(9), codes=b""), 4)
    describe_by_older_version(engine, "1")
    store.renew("1", features(1), 10)
    describe_by_older_version(engine, "2")
    [stored] = store.codes_after(0, FEED_VERSION)
    assert stored.last_mark == 10
    assert array("q", stored.marks).tolist() == [3, 10]
    assert stored.codes == features(3).codes[:32] + features(1).codes[:32]
    assert (stored.trimmed_marks, stored.trimmed) == (b"", b"")
    [later] = store.codes_after(3, FEED_VERSION)
    assert array("q", later.marks).tolist() == [10]
    assert list(store.codes_after(10, FEED_VERSION)) == []
    assert [each.stored.image_id for each in store.with_marks([10, 1, 3, 99])] == ["1", "3"]


def test_regions_are_stored_and_the_first_ones_are_read_with_the_codes(store: ImageStore) -> None:
    regions = bytes(range(1, 1 + 15)) * REGION_BYTES  # of 15 regions
    store.add("many", replace(features(1), regions=regions), 1)
    store.add("one", replace(features(2), regions=regions[:REGION_BYTES]), 2)
    store.add("none", features(3), 3)
    described = store.find_described("many")
    assert described is not None and described.features.regions == regions
    [stored] = store.codes_after(0, FEED_VERSION)
    assert stored.regions == (
        regions[:INDEXED_REGION_BYTES]
        + regions[:REGION_BYTES].ljust(INDEXED_REGION_BYTES, b"\0")
        + bytes(INDEXED_REGION_BYTES)
    )


def test_outdated_images_are_counted_and_listed_in_pages(store: ImageStore, engine: Engine) -> None:
    for image_id in ("a.1", "a.2", "b.1", "b.2"):
        store.add(image_id, features(1), 0)
    assert not store.has_other_versions(FEED_VERSION)
    describe_by_older_version(engine, "a.1", "a.2", "b.1")
    assert store.has_other_versions(FEED_VERSION)
    assert (store.count_outdated(), store.count_outdated("b.", "b/")) == (3, 1)
    assert store.outdated((-1, ""), 2) == [(1, "a.1"), (1, "a.2")]
    assert store.outdated((1, "a.2"), 2) == [(1, "b.1")]
    assert store.outdated((-1, ""), 9, "b.", "b/") == [(1, "b.1")]


def test_a_label_stays_until_another_one_is_set(store: ImageStore) -> None:
    def label() -> str | None:
        stored = store.find("a")
        assert stored is not None
        return stored.label

    store.add("a", features(1), 10, "nas: one.jpg")
    assert label() == "nas: one.jpg"
    store.replace("a", features(2), 11)
    assert label() == "nas: one.jpg"
    store.replace("a", features(3), 12, "nas: two.jpg")
    assert label() == "nas: two.jpg"
    moment = store.position().moment
    assert store.set_label("a", None).label is None
    assert (label(), store.position().moment) == (None, moment)
    with pytest.raises(NotFound):
        store.set_label("b", "x")


def test_an_image_that_is_described_again_keeps_its_label(
    store: ImageStore, engine: Engine
) -> None:
    store.add("a", features(1), 10, "one.jpg")
    describe_by_older_version(engine, "a")
    assert store.renew("a", features(1), 20)[1].label == "one.jpg"
    for label, expected in ((None, "one.jpg"), ("two.jpg", "two.jpg")):
        describe_by_older_version(engine, "a")
        _, after = store.replace("a", features(1), 30, label)
        assert (after.moment, after.label) == (10, expected)
        assert store.find("a") == after


def test_each_change_is_counted(store: ImageStore) -> None:
    positions = [store.position()]
    for change in (
        lambda: store.add("a", features(1), 10),
        lambda: store.replace("a", features(2), 11),
        lambda: store.set_label("a", "x"),
        lambda: store.remove("a"),
    ):
        change()
        positions.append(store.position())
    changes = [each.changes for each in positions]
    assert changes == sorted(set(changes))
    assert [each.moment for each in positions] == [0, 10, 11, 11, 11]
    assert len({each.history for each in positions}) == 1


def test_the_images_of_others_are_listed_in_the_order_of_their_moments(
    store: ImageStore,
) -> None:
    for moment, image_id in enumerate(("b.1", "a.1", "a2.1", "c.1"), 1):
        store.add(image_id, features(moment), moment)
    assert [each.image_id for each in store.others_after(0, "a.", 9)] == ["b.1", "a2.1", "c.1"]
    assert [each.image_id for each in store.others_after(1, "a.", 1)] == ["a2.1"]
    assert store.count() == 4


def test_a_copy_is_found_among_the_images_of_one_owner(store: ImageStore) -> None:
    for moment, image_id in enumerate(("b.1", "a.2", "a.1", "a2.1"), 1):
        store.add(image_id, features(7), moment)
    store.add("c.1", features(8), 9)
    copies = [store.copy_of_owner(features(7).sha256, f"{owner}.") for owner in ("a", "a2", "c")]
    assert [None if copy is None else copy.image_id for copy in copies] == ["a.1", "a2.1", None]


def test_a_page_start_is_remembered_after_its_image_is_gone(store: ImageStore) -> None:
    stored = store.add("a", features(1), 10)
    assert store.page_start("a") is None
    store.remember_page_start(stored)
    store.remove("a")
    assert store.page_start("a") == 10

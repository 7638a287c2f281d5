"""Each module with logic has a file of tests of its name: ``sync/engine.py`` has
``tests/sync/test_engine.py``."""

from __future__ import annotations

from tests.support.paths import ROOT

#: The modules without one, each with the reason.
EXCEPTIONS = {
    "checks/examination": "the order of the checks, which cli/test_check sees as a whole",
    "checks/finding": "declarations",
    "cli/after_resync": "sync/test_renewal and promises/test_shared_names",
    "cli/dismissals": "cli/test_duplicates",
    "cli/group_selection": "cli/test_duplicates",
    "cli/json_lines": "two functions that print; docs/test_json has every shape",
    "cli/named": "cli/test_duplicates and cli/test_odd_names",
    "cli/queries": "several commands: cli/test_listing and cli/test_check",
    "cli/tables": "tables on a terminal: cli/test_output",
    "client/changing": "client/test_retrying: through a client that retries",
    "client/lists": "client/test_responses has every answer",
    "core/protocol": "declarations",
    "decoding/features": "declarations",
    "decoding/formats": "a table, which decoding/test_samples compares with the samples",
    "decoding/processes": "decoding/test_pool and decoding/test_zygote end them in every way",
    "decoding/work": "the function of a decoder, which decoding/test_decoders runs",
    "embedded/changes": "promises/test_collection_contract",
    "embedded/opening": "one call, which all tests of embedded/test_collection make",
    "review/app": "what becomes of errors: review/test_requests and review/test_server",
    "review/parts": "connects the parts",
    "review/routes": "review/test_security asks for every route, review/test_groups for the groups",
    "review/routes_marked": "review/test_removal asks for each of them",
    "runtime/prometheus": "status/test_prometheus and server/test_metrics read it over HTTP",
    "server/operations": "server/test_description compares every call with the description",
    "service/command_handlers": "the commands: control/test_commands and cli/test_approve",
    "service/engine_thread": "a loop over components: service/test_generation runs it",
    "service/environment": "declarations",
    "state/alerts": "state/test_searches and state/test_reported_pairs",
    "state/early_schema": "scripts: state/test_migration and state/test_schema",
    "state/group_rows": "queries: state/test_groups and state/test_grouping",
    "state/node_images": "a query: state/test_searches and state/test_growth",
    "state/nodes": "state/test_searches and core/test_groups",
    "state/sides": "state/test_searches and state/test_pairs",
    "state/unwanted": "promises/test_left_out",
    "status/reading": "status/test_model reads the status of real files",
    "status/review_json": "status/test_review_data asks for groups and images",
    "status/snapshot": "status/test_prometheus reads it over HTTP",
    "sync/approving": "cli/test_approve and promises/test_recognised_disks",
    "sync/comparing": "cli/test_duplicates: the kinds of images that no link connects",
    "sync/deciding": "review/test_decisions and review/test_source: without and beside a service",
    "server/storage": "server/test_main and cli/test_keys open both",
    "storage/postgres/codes": "storage/postgres/test_images",
    "storage/postgres/image_rows": "a row: storage/test_images",
    "storage/postgres/history": "storage/postgres/test_pool and server/test_nodes",
    "storage/postgres/registry": "storage/test_hosting",
    "storage/postgres/rows": "storage/test_rows",
    "storage/sqlite/image_rows": "a row: storage/test_images and embedded/test_collection",
    "storage/sqlite/images": "storage/test_images",
    "storage/sqlite/rows": "storage/test_rows",
    "storage/sqlite/signatures": "server/test_signature",
    "cli/hiding": "cli/test_database: a node whose command line has a password",
    "version": "declarations",
    "watching/hint_source": "an interface",
}


def modules() -> set[str]:
    package = ROOT / "snoopsync"
    paths = (path.relative_to(package) for path in package.rglob("[!_]*.py"))
    return {path.with_suffix("").as_posix() for path in paths}


def has_tests(module: str) -> bool:
    package, _, name = module.rpartition("/")
    return (ROOT / "tests" / package / f"test_{name}.py").is_file()


def test_each_module_has_a_file_of_tests_of_its_name() -> None:
    assert {module for module in modules() if not has_tests(module)} - EXCEPTIONS.keys() == set()


def test_no_exception_is_out_of_date() -> None:
    assert EXCEPTIONS.keys() <= modules()
    assert {module for module in EXCEPTIONS if has_tests(module)} == set()

"""The tables of the report, in their order. Each function takes the `Results` and returns a `Table`."""

from collections.abc import Iterator

from workroom.bench.report.results import Results
from workroom.bench.report.table import Table


def all_tables(results: Results) -> Iterator[Table]:
    """Every table, also the empty ones: their notes say what would fill them."""
    from workroom.bench.report.tables import (
        behaviour,
        capabilities,
        infrastructure,
        long_context,
        outcomes,
        scores,
        throughput,
        tokens,
    )

    yield scores.differences(results)
    yield scores.means(results)
    yield scores.pass_at_k(results)
    yield capabilities.capabilities(results)
    yield capabilities.evidence(results)
    yield capabilities.hosts(results)
    yield long_context.long_context(results)
    yield tokens.tokens(results)
    yield throughput.throughput(results)
    yield infrastructure.infrastructure(results)
    yield behaviour.phrases(results)
    yield outcomes.stop_reasons(results)
    yield outcomes.won_and_lost(results)
    yield outcomes.unscored(results)
    yield outcomes.errors(results)

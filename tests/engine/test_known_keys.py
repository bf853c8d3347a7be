"""What groups and ranks by columns of a key join: as over the plain rows, also after a restore."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from deras.core.delta import Delta
from deras.core.later import settle, source_of
from deras.core.schema import Schema
from deras.core.types import BIGINT, STRING
from deras.engine.aggregates import AggregateCall
from deras.engine.operators.group_aggregate import GroupAggregate
from deras.engine.operators.key_join import KeyJoin
from deras.engine.operators.rank import Rank
from deras.engine.ranking import SortKey
from deras.testing.engine import Harness

KEYED = Schema.of(id=BIGINT, kind=STRING)
OTHER = Schema.of(k=BIGINT, x=BIGINT)
JOINED = Schema((*KEYED.fields, *OTHER.fields))


def group() -> GroupAggregate:
    calls = [AggregateCall("MAX", 3, BIGINT), AggregateCall("COUNT", None, BIGINT.with_nullable(False))]
    schema = Schema.of(kind=STRING, id=BIGINT, best=BIGINT, n=BIGINT.with_nullable(False))
    return GroupAggregate(JOINED, [1, 0], calls, schema, True)


def rank() -> Rank:
    return Rank(JOINED, [0], [SortKey(3, descending=True)], last=2)


@pytest.mark.parametrize("make", [group, rank])
def test_keys_of_joined_rows_are_known_by_their_rows(make: Any) -> None:
    rnd = np.random.default_rng(5)
    join = Harness(lambda: KeyJoin(KEYED, OTHER, [0], [0], 0))
    above, plain = Harness(make), Harness(make)
    ids = rnd.permutation(3000)
    seen = 0
    for i in range(9):
        new = ids[i * 300 : i * 300 + 300]
        one = Delta.of(KEYED, [(int(k), f"kind {k % 3} of a long name" if k % 5 else None) for k in new])
        rows = [(int(k), int(v)) for k, v in zip(rnd.choice(ids[:2400], 2000), rnd.integers(0, 999, 2000), strict=True)]
        for inputs in ([one, None], [None, Delta.of(OTHER, rows)]):
            out = join.step(inputs)
            if out is None:
                continue
            seen += source_of(out.columns[:2]) is not None
            got = above.step([out])
            want = plain.step([settle(out)])
            assert (got is None) == (want is None)
            if got is not None and want is not None:
                assert got.rows() == want.rows()
                assert got.weight_array().tolist() == want.weight_array().tolist()
        # Where the rows of the join lie elsewhere afterwards, what is known of them must not be used.
        for h in {3: [join, above, plain], 5: [join]}.get(i, []):
            h.restart(list(h.state.base(i).chunks()))
    assert seen == 9
    assert Counter(above.run.rows()) == Counter(plain.run.rows())

"""Functions of pyflink.test, as one writes them for PyFlink; nothing here is Deras' own."""

from __future__ import annotations

from pyflink.common import Row
from pyflink.table import DataTypes, ListView
from pyflink.table.udf import AggregateFunction, ScalarFunction, TableFunction, udaf, udf, udtf


@udf(result_type=DataTypes.BIGINT())
def length(word):
    return None if word is None else len(word)


class Scaled(ScalarFunction):
    def __init__(self):
        self.factor = 0

    def open(self, function_context):
        self.factor = int(function_context.get_job_parameter("factor", "3"))

    def eval(self, n):
        return None if n is None else n * self.factor


scaled = udf(Scaled(), input_types=[DataTypes.BIGINT()], result_type=DataTypes.BIGINT())
shout = udf(lambda w: None if w is None else w.upper() + "!", result_type="STRING")


@udtf(result_types=[DataTypes.STRING(), DataTypes.INT()])
def words(line):
    if line == "boom":
        raise ValueError("no")
    if line is None:
        return
    for i, w in enumerate(line.split()):
        yield w, i


class Letters(TableFunction):
    def eval(self, word, n):
        for c in (word or "")[: n or 0]:
            yield Row(c, ord(c))


letters = udtf(
    Letters(),
    result_types=DataTypes.ROW(
        [DataTypes.FIELD("letter", DataTypes.STRING()), DataTypes.FIELD("code", DataTypes.INT())]
    ),
)


@udtf(result_types="BIGINT")
def up_to(n):
    return range(n or 0)


class WeightedAvg(AggregateFunction):
    def create_accumulator(self):
        return Row(0, 0)

    def get_value(self, accumulator):
        return None if accumulator[1] == 0 else accumulator[0] / accumulator[1]

    def accumulate(self, accumulator, value, weight):
        if value == 666:
            raise ValueError("no such value")
        if value is not None:
            accumulator[0] += value * weight
            accumulator[1] += weight

    def retract(self, accumulator, value, weight):
        if value is not None:
            accumulator[0] -= value * weight
            accumulator[1] -= weight

    def get_result_type(self):
        return DataTypes.DOUBLE()

    def get_accumulator_type(self):
        return DataTypes.ROW([DataTypes.FIELD("f0", DataTypes.BIGINT()), DataTypes.FIELD("f1", DataTypes.BIGINT())])


weighted_avg = udaf(WeightedAvg())


class Collected(AggregateFunction):
    def create_accumulator(self):
        return Row(ListView(), 0)

    def get_value(self, accumulator):
        return ",".join(accumulator[0])

    def accumulate(self, accumulator, word):
        if word is not None:
            accumulator[0].add(word)

    def get_result_type(self):
        return DataTypes.STRING()

    def get_accumulator_type(self):
        return DataTypes.ROW(
            [
                DataTypes.FIELD("f0", DataTypes.LIST_VIEW(DataTypes.STRING())),
                DataTypes.FIELD("f1", DataTypes.BIGINT()),
            ]
        )


collected = udaf(Collected())
spread = udaf(lambda v: v.max() - v.min(), result_type=DataTypes.BIGINT(), func_type="pandas")

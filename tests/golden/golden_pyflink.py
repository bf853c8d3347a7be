"""Functions of pyflink.test, as one writes them for PyFlink; nothing here is Deras' own."""

from __future__ import annotations

from pyflink.common import Row
from pyflink.table import DataTypes
from pyflink.table.udf import ScalarFunction, TableFunction, udf, udtf


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

"""The suite's own function for q14, in Python."""

import deras


@deras.udf(result_type="BIGINT NOT NULL", input_types=["STRING", "STRING"], func_type="polars")
def count_char(text, character):
    """How often a character stands in each text; 0 for NULL.

    Args:
        text: series of texts.
        character: series of single characters, of length 1 or as many as texts.
    """
    import polars as pl

    frame = pl.select(pl.lit(text).alias("t"), pl.lit(character).alias("c"))
    return frame.select(
        pl.col("t").str.count_matches(pl.col("c"), literal=True).fill_null(0).cast(pl.Int64)
    ).to_series()

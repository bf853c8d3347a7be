# ARRAY, MAP and ROW.

values
ARRAY[1, 2, 3]
ARRAY[1, NULL]
ARRAY['a', 'bcd']
ARRAY[1, 2.5]
ARRAY[ARRAY[1], ARRAY[2, 3]]
ARRAY[1, 2, 3][1]
# differs: defect of Flink
ARRAY[1, 2, 3][4]
ARRAY[1, 2, 3][0]
CARDINALITY(ARRAY[1, 2])
CARDINALITY(CAST(NULL AS ARRAY<INT>))
ELEMENT(ARRAY[1])
ELEMENT(ARRAY[1, 2])
MAP['a', 1, 'b', 2]
MAP['a', 1, 'b', 2]['b']
# differs: defect of Flink
MAP['a', 1]['z']
MAP['a', 1, 'a', 2]
CARDINALITY(MAP['a', 1])
MAP[1, 'x', 2, 'yyy']
MAP['a']
ROW(1, 'a')
(1, 'a', 2.5)
ROW(1)
ROW(1, 'a') = ROW(1, 'a')
ARRAY[1, 2] = ARRAY[1, 2]
MAP['a', 1] = MAP['a', 1]
CAST(ROW(1, 'a') AS ROW<x INT, y STRING>).x
ARRAY[]
ARRAY[DATE '2024-01-01']
ARRAY[TRUE, FALSE]
STR_TO_MAP('a=1,b=2')
STR_TO_MAP('a:1;b:2', ';', ':')

SELECT price FROM cheap UNION ALL SELECT seller FROM auction

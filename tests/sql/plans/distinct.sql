SELECT DISTINCT category FROM auction

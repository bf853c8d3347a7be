"""Factory: predictive maintenance. Live sensors, learned normality, anomalies when they happen."""

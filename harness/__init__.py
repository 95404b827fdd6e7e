"""The engine of BonBench: records, store, Ray pools, stages, estimators, reports. It knows no model library."""

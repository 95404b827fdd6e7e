"""The name that BonBench's components are imported by: ``bonbench.verifiers`` is the folder ``verifiers``, and so on.

Names as common as ``verifiers`` or ``experiments`` belong to other packages too, one of them on the package index.
"""

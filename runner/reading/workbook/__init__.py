"""Workbooks, read the way a careful person would: .xlsx, .xlsm, .xls, .ods and .csv.

A sheet becomes a table that is asked in SQL. What a program would take for a blank, and a
person wouldn't (a formula that nobody calculated, an error, a cell under another), is told
as a flaw with the cell's name.
"""

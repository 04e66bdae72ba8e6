"""Excel to a directory: a workbook's rows become accounts, contacts and groups."""

"""Python client of the record-linkage and master-data service `mdm.v1`."""

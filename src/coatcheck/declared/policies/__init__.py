"""Policy files as people write them, in JSON or in the part of YAML that has one reading."""

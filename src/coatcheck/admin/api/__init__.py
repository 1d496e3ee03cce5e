"""The frame of the REST API: routes, roles, reading, problems, paging; it knows no object of the gateway."""

"""Commands that change what operators make: servers, grants, subjects, operators."""

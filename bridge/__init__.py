"""Everything that meets the outside: intake, egress, transfer, license, operation, commands."""

"""What a credential is made of: its material, its name and its versions. No I/O, no clock."""

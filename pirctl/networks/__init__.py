"""The networks, in the order of the paper: nn.Modules that know no files."""

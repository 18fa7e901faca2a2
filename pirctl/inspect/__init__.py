"""Pictures of what was found and learnt, to look at before going on."""

"""How the bundled face model is made from clips of people; not part of the product at run time."""

"""What `hikeshi connector new` begins with: for some capabilities a connector of an invented product, Acme.

They are ordinary modules, checked and tested like all others; the command puts another name in the place of Acme's.
"""

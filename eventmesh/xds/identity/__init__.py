"""Who is who in a mesh: SPIFFE ids, the authority that certifies them, and when certificates and roots are replaced.

Whom a certificate is told to is `control`'s business; a data plane never loads this package.
"""

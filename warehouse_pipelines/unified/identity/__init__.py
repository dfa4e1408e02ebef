"""Who is who: rows of the sources become records, records people, and people households.

``resolve`` runs, in this order: ``records`` reads the rows that changed (``source_rows``, ``normalise``);
``candidates`` finds the pairs to compare; ``compare`` judges one by the ``weights``; ``edges`` keeps it; ``partition``
makes people of the edges (``cluster``); ``persons`` takes the best values; ``households`` says who lives together,
and ``touches`` whose a call without a name is.

``reviews`` are pairs that wait for a person, ``decisions`` what people decided; ``explain`` says why two records are
one person. ``rebuild`` compares everything by Splink (``splink_lane``) and shows what would differ.
"""

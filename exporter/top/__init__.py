"""``vmguest-exporter top``: esxtop from inside, over the documents of :mod:`exporter.outputs.api`.

``frame`` what lies between two documents · ``quantities`` a row for each number, with esxtop's name where it is equal ·
``screen`` the views as lines · ``batch`` CSV and plain lines · ``app`` the Textual view, the only one to import it.
"""

"""What the user sees when the research is over: the view, the HTML report, the terminal summary, honest
words."""

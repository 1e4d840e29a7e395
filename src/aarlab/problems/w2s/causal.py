"""What a weak-to-strong gain may rest on: the trained student, which it must need, and the teacher's labels."""

from aarlab.problems.causes import Causal, Factor, Trap, Verdicts

CAUSAL = Causal(
    needed=Factor(
        name="student", ablation="untrained-student", cell="untrained", without="with the student untrained",
        there="trained", gone="untrained",
    ),
    other=Factor(
        name="teacher", ablation="permuted-teacher", cell="permuted", without="with the teacher permuted",
        there="real", gone="permuted",
    ),
    both="with both taken away",
    verdicts=Verdicts(
        both="weak-to-strong", alone="elicitation", sign="elicitation with one teacher bit", neither="student-free"
    ),
    draws=8,
    # A method may see that its student is gone and fail on purpose. So a share of test rows borrows what the trained
    # student makes of rows of the other label: who listens to the student gets these wrong.
    trap=Trap(
        ablation="borrowed-rows", share=0.3, flag="borrowed", cell="borrowed", where="on borrowed rows",
        why="it fails without the student, but not on rows with another row's representation: it fails on purpose",
    ),
    mark="scrambled-mark",
)  # fmt: skip

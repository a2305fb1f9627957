"""Search over the keys of a recipe: trials by Optuna, each a training that is never done twice.

`run_search` is the main job. A trial is named by its filled recipe; its folder holds the training,
which resumes and is recognised when it is finished, whatever the store of trials says.
"""

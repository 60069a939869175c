"""Leukoscope in Python: one function for each step.

    import leukoscope as lk

    lk.predict("cells/")                    # a table: image, probability, call, warnings
    ds = lk.read_dataset("C-NMC_Leukemia/")
    lk.audit(ds)                            # faults, people under several names
    run = lk.train(ds, epochs=3)            # one network per fold, split by person
    lk.evaluate(run)                        # scores with intervals over people

Where to find them:

    predicting      Model, load_model, predict, explain, list_images
    data            read_dataset, audit, make_split
    training        train, export
    evaluating      evaluate, aggregate

Paths are strings or `Path`s. Images are paths of files, folders and zips, uint8 arrays
(h, w, 3) or (n, h, w, 3) in RGB, Pillow images, or a list of these. Every error raised on
purpose is a `LeukoscopeError`. Research use only; not a medical device.

Nothing is imported here, so that a function loads only what it needs.
"""

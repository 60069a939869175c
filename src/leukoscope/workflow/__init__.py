"""The order of the stages, one function a command: read → stage → write.

    checking.check_data, checking.draw_augmentations
    training.train_run
    evaluation.evaluate_predictions
    prediction.predict_images
    explanation.explain_images, explanation.explain_sources, explanation.write_explanations
    measuring.measure_cells
    summary.aggregate_predictions
    demonstration.run_demo

Nothing is imported here, so that a command loads only what it needs.
"""

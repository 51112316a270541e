"""skl2onnx: estimators of scikit-learn, converted and run, with and without dicts of chances."""

REQUIREMENTS = ["skl2onnx==1.19.1", "scikit-learn==1.7.2", "onnx==1.17.0", "protobuf==5.29.5"]


def estimators():
    from sklearn import ensemble, linear_model, naive_bayes, neighbors, neural_network, svm, tree
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import (
        Binarizer,
        KBinsDiscretizer,
        MinMaxScaler,
        Normalizer,
        PolynomialFeatures,
        StandardScaler,
    )

    columns = ColumnTransformer(
        [
            ("scaled", StandardScaler(), [0, 1]),
            ("bins", KBinsDiscretizer(4, encode="onehot-dense"), [2]),
        ]
    )
    return {
        "classifier logistic": linear_model.LogisticRegression(max_iter=500),
        "classifier sgd": linear_model.SGDClassifier(random_state=0, loss="log_loss"),
        "classifier tree": tree.DecisionTreeClassifier(random_state=0),
        "classifier forest": ensemble.RandomForestClassifier(20, random_state=0),
        "classifier boosting": ensemble.GradientBoostingClassifier(random_state=0, n_estimators=10),
        "classifier histogram": ensemble.HistGradientBoostingClassifier(max_iter=10),
        "classifier bayes": naive_bayes.GaussianNB(),
        "classifier svc": svm.SVC(probability=True, random_state=0),
        "classifier neighbours": neighbors.KNeighborsClassifier(),
        "classifier net": neural_network.MLPClassifier((16,), max_iter=50, random_state=0),
        "classifier piped": make_pipeline(StandardScaler(), linear_model.LogisticRegression()),
        "classifier columns": make_pipeline(columns, tree.DecisionTreeClassifier(random_state=0)),
        "regressor linear": linear_model.LinearRegression(),
        "regressor forest": ensemble.RandomForestRegressor(20, random_state=0),
        "regressor svr": svm.SVR(),
        "transformer scaled": StandardScaler(),
        "transformer ranged": MinMaxScaler(),
        "transformer normal": Normalizer(),
        "transformer binary": Binarizer(threshold=2.0),
        "transformer powers": PolynomialFeatures(2),
        "transformer filled": SimpleImputer(),
    }


def results():
    import warnings

    import numpy as np
    import onnxruntime
    from skl2onnx import to_onnx
    from sklearn.datasets import load_iris

    warnings.simplefilter("ignore")
    features, target = load_iris(return_X_y=True)
    features = features.astype(np.float32)
    words = np.array(["setosa", "versicolor", "virginica"])[target]
    given = {}
    for name, estimator in estimators().items():
        kind = name.split()[0]
        for labels in [target, words] if kind == "classifier" else [target]:
            fitted = estimator.fit(features, labels)
            for zipmap in (True, False) if kind == "classifier" else (None,):
                options = {} if zipmap is None else {"zipmap": zipmap}
                proto = to_onnx(
                    fitted,
                    features[:1],
                    options={id(fitted): options} if options else None,
                    target_opset={"": 18, "ai.onnx.ml": 3},
                )
                session = onnxruntime.InferenceSession(
                    proto.SerializeToString(), providers=["CPUExecutionProvider"]
                )
                rows = session.run(None, {session.get_inputs()[0].name: features})
                for index, value in enumerate(rows):
                    if isinstance(value, list):
                        given[f"{name} {labels.dtype.kind} keys"] = np.array(sorted(value[0]))
                        value = [[row[key] for key in sorted(row)] for row in value]
                    value = np.asarray(value)
                    if value.dtype == object:
                        value = value.astype(str)
                    given[f"{name} {labels.dtype.kind} {zipmap} {index}"] = value
    return given

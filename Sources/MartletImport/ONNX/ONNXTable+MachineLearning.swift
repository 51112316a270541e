import MartletOperators

/// The operators of ONNX's domain ai.onnx.ml.
///
/// Source: github.com/onnx/onnx, docs/Operators-ml.md and docs/Changelog-ml.md.
extension ONNXTable {
  static let machineLearning: [ONNXEntry] = [
    same("ArrayFeatureExtractor"),
    same("Binarizer"),
    same("CastMap"),
    same("CategoryMapper"),
    same("DictVectorizer"),
    same("FeatureVectorizer"),
    same("Imputer"),
    .rewritten(
      "LabelEncoder", domain: OperatorID.machineLearningDomain, LabelEncoderForms.convert),
    same("LinearClassifier"),
    same("LinearRegressor"),
    same("Normalizer"),
    same("OneHotEncoder"),
    same("Scaler"),
    same("SVMClassifier"),
    same("SVMRegressor"),
    same("TreeEnsemble"),
    same("TreeEnsembleClassifier"),
    same("TreeEnsembleRegressor"),
    same("ZipMap"),
  ]

  private static func same(_ name: String) -> ONNXEntry {
    .same(name, domain: OperatorID.machineLearningDomain)
  }
}

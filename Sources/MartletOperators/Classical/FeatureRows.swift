import MartletBackends
import MartletCore

/// An estimator's input: rows of features, [N, F], or one row, [F].
struct FeatureRows {
  /// Contiguous.
  let tensor: Tensor
  let rows: Int
  let width: Int

  /// What estimators take.
  static func isTaken(_ dtype: DType) -> Bool {
    dtype == .float32 || dtype == .float64 || dtype == .int32 || dtype == .int64
  }

  static let taken = "float32, float64, int32 or int64"

  /// Input 0 in `dtype`.
  init(_ inputs: Inputs, as dtype: DType, _ context: RunContext) throws(MartletError) {
    let x = try inputs.required(0, FeatureRows.isTaken, FeatureRows.taken)
    try self.init(x, as: dtype, inputs, context)
  }

  init(
    _ x: Tensor, as dtype: DType, _ inputs: Inputs, _ context: RunContext
  ) throws(MartletError) {
    guard x.rank == 1 || x.rank == 2 else {
      throw FeatureRows.wrongRank(Shape.text(x.shape), inputs.operatorName, inputs.name(0))
    }
    rows = x.rank == 2 ? x.shape[0] : 1
    width = x.shape[x.rank - 1]
    let wide = try context.contiguous(try context.converted(x, to: dtype))
    tensor = x.rank == 2 ? wide : try wide.reshaped([1, width])
  }

  /// Throws where rows have not as many features as `count`, or fewer where `orMore`.
  func check(
    width count: Int, orMore: Bool = false, _ inputs: Inputs
  ) throws(MartletError) {
    guard width == count || orMore && width > count else {
      let expected = "\(count) features\(orMore ? " or more" : "")"
      throw .shape(
        inputs.operatorName, "\(inputs.name(0)) has \(width) features", expected: expected,
        actual: "[\(rows), \(width)]", input: inputs.name(0))
    }
  }

  /// The number of rows as far as it is known. Throws for a rank that no rows have.
  static func rows(
    _ type: ValueType?, _ schema: OperatorSchema
  ) throws(MartletError) -> Dimension {
    guard let shape = type?.shape else { return .unknown }
    guard shape.count == 1 || shape.count == 2 else {
      throw wrongRank(Inference.text(shape), schema.name, schema.inputName(0))
    }
    return shape.count == 2 ? shape[0] : .known(1)
  }

  private static func wrongRank(_ actual: String, _ name: String, _ input: String) -> MartletError {
    .shape(name, "\(input) is no matrix", expected: "[N, F] or [F]", actual: actual, input: input)
  }
}

import MartletCore
import MartletOperators

/// What became of each node in one run: from it a `ShapePlan` is laid out for the runs to come.
struct RunRecord {
  enum Origin {
    /// Memory that the node asked for as this output.
    case fresh
    /// A view of what its operand of this position was.
    case view(of: Int)
    /// Memory of somebody else, or no tensor: such a result is never laid out.
    case other
  }

  struct Result {
    var origin = Origin.other
    var dtype = DType.float32
    /// What the node asked for.
    var requested: TensorLayout?
    /// What it delivered, `byteOffset` after the start of what it asked for or views.
    var delivered: TensorLayout?
    var byteOffset = 0
  }

  /// By result of the plan.
  var results: [Result] = []
  /// By node: what it asked for as scratch.
  var scratch: [[(dtype: DType, layout: TensorLayout)]] = []

  /// Bytes that result `index` asked for.
  func byteCount(ofResult index: Int) -> Int {
    results[index].dtype.byteCount(of: results[index].requested?.count ?? 0)
  }

  /// Writes down what node `node` of `plan` has just done.
  mutating func note(_ node: Plan.PreparedNode, _ inputs: Inputs, _ context: RunContext) {
    for position in 0..<node.results.count {
      let value = position < context.results.count ? context.results[position] : nil
      results.append(RunRecord.result(value, inputs, context.handedOut))
    }
    scratch.append(context.memory.recorded ?? [])
  }

  private static func result(_ value: Value?, _ inputs: Inputs, _ handedOut: [Tensor]) -> Result {
    var result = Result()
    guard case .tensor(let tensor)? = value, tensor.dtype != .string else { return result }
    result.dtype = tensor.dtype
    result.delivered = tensor.layout
    if let own = handedOut.last(where: { $0.storage === tensor.storage }) {
      guard own.dtype == tensor.dtype else { return result }
      result.origin = .fresh
      result.requested = own.layout
      result.byteOffset = tensor.byteOffset - own.byteOffset
    } else if let position = inputs.values.firstIndex(where: {
      $0?.tensor?.storage === tensor.storage
    }), let source = inputs.values[position]?.tensor {
      result.origin = .view(of: position)
      result.byteOffset = tensor.byteOffset - source.byteOffset
    }
    return result
  }
}

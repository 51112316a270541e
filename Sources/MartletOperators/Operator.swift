import MartletBackends
import MartletCore

/// One operator, made once per node: attributes parsed, constant inputs packed, then run many times,
/// by many threads at once.
///
/// Names and meaning are those of the ONNX operator of the same name at its newest supported opset;
/// Martlet's own operators say so in their schema. Importers rewrite older forms into these.
package protocol Operator: Sendable {
  static var schema: OperatorSchema { get }

  /// Checks attributes and constant inputs. Throws with the operator's name and what was expected.
  init(_ node: OperatorNode) throws(MartletError)

  /// Types and symbolic shapes of the outputs, as far as they follow from those of the inputs.
  /// Throws only on a contradiction that no run could survive.
  func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType]

  /// Computes the outputs and hands them to `context.deliver`, in order.
  ///
  /// Inputs may have any strides, and dtypes that are not narrow, unless the traits say otherwise. An output may be a view of an input, if the schema says so.
  /// Outputs that are computed come from `context.output`, scratch from `context.scratch`; scratch
  /// that is delivered all the same is copied. Inputs and what the context hands out live until this
  /// returns, also where nothing but a pointer into them is left. Results must not depend on threads or
  /// batch.
  func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError)

  /// What `run` comes to for these inputs and one result at `place`, all of which stay where they
  /// are: the same bits by the call of one kernel. nil, which is the default, where it is more.
  func call(_ inputs: Inputs, into place: Tensor) -> KernelCall?

  /// The same for matrix work, planned once for runs as `preparation` says. nil, which is the default,
  /// where `run` does more than that work.
  func bind(_ inputs: Inputs, into place: Tensor, _ preparation: Preparation) -> (any BoundWork)?
}

extension Operator {
  package func call(_ inputs: Inputs, into place: Tensor) -> KernelCall? { nil }

  package func bind(
    _ inputs: Inputs, into place: Tensor, _ preparation: Preparation
  ) -> (any BoundWork)? { nil }

  /// The results of one run by itself, on tensors; absent ones are left out.
  package func results(
    _ inputs: [Tensor?], _ context: RunContext
  ) throws(MartletError) -> [Tensor] {
    for (index, input) in inputs.enumerated() {
      if let input, input.dtype == .string { try Self.schema.check(.tensor(input), input: index) }
    }
    context.begin(places: context.places.indices, areGiven: !context.places.isEmpty)
    let frame = Inputs(inputs, Self.schema)
    // They own what the run points into, and pointing is no use of them.
    defer { withExtendedLifetime((frame, context)) {} }
    try runNarrow(frame, context)
    return context.results.compactMap { $0?.tensor }
  }
}

/// What a node tells its operator when it is made.
package struct OperatorNode: Sendable {
  package let attributes: Attributes
  /// The value of each input that is known before any run (weights, literals); nil for the others.
  package let constants: [Tensor?]
  package let inputCount: Int
  package let outputCount: Int
  /// The node's subgraphs.
  package let regions: [any RegionDescription]
  /// Who makes and keeps the forms of constants that runs read in their place.
  package let prepared: PreparedConstants

  package init(
    attributes: Attributes, constants: [Tensor?], inputCount: Int, outputCount: Int,
    regions: [any RegionDescription] = [], prepared: PreparedConstants = PreparedConstants()
  ) {
    self.attributes = attributes
    self.constants = constants
    self.inputCount = inputCount
    self.outputCount = outputCount
    self.regions = regions
    self.prepared = prepared
  }

  /// The constant at input `index`, or nil.
  package func constant(_ index: Int) -> Tensor? {
    index < constants.count ? constants[index] : nil
  }
}

import MartletBackends
import MartletCore

/// Work that several operators do, such as a product and its fused form: what `Operator` and
/// `PreparingOperator` ask for.
package protocol SharedWork: Sendable {
  func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType]
  func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int]
  func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError)
  func bind(
    _ inputs: Inputs, into place: Tensor, _ preparation: Preparation
  ) -> (any BoundWork)?
}

extension SharedWork {
  package func bind(
    _ inputs: Inputs, into place: Tensor, _ preparation: Preparation
  ) -> (any BoundWork)? { nil }
}

/// An operator that does its work and nothing else.
package protocol SharingOperator: PreparingOperator {
  associatedtype Work: SharedWork
  var work: Work { get }
}

extension SharingOperator {
  package func infer(_ inputs: [ValueType?]) throws(MartletError) -> [ValueType] {
    try work.infer(inputs)
  }

  package func prepare(
    _ inputs: [ValueType?], _ preparation: Preparation
  ) throws(MartletError) -> [Int] {
    try work.prepare(inputs, preparation)
  }

  package func run(_ inputs: Inputs, _ context: RunContext) throws(MartletError) {
    try work.run(inputs, context)
  }

  package func bind(
    _ inputs: Inputs, into place: Tensor, _ preparation: Preparation
  ) -> (any BoundWork)? {
    work.bind(inputs, into: place, preparation)
  }
}

/// How an operator with products takes over what follows it, for passes: by becoming one of Martlet's
/// own that computes activation(factor * product + bias + residual).
package struct EpilogueSlots: Sendable {
  /// The operator that it becomes, with the same inputs and attributes before those that follow; the
  /// operator itself, if that is one of Martlet's own.
  package let form: OperatorID
  /// The attribute that is a factor of the product; nil: it takes none from what follows.
  package let factor: String?
  /// The input that may be a vector over the result's last axis; nil: it has a bias of another kind.
  package let columnBias: Int?
  /// The attribute that is a factor of that input, which what follows does not have.
  package let biasFactor: String?
  /// The input that is added to the product.
  package let residual: Int
  /// Whether the residual may broadcast to the product.
  package let broadcastsResidual: Bool

  init(
    form: OperatorID, factor: String? = nil, columnBias: Int? = nil, biasFactor: String? = nil,
    residual: Int = 3, broadcastsResidual: Bool = false
  ) {
    self.form = form
    self.factor = factor
    self.columnBias = columnBias
    self.biasFactor = biasFactor
    self.residual = residual
    self.broadcastsResidual = broadcastsResidual
  }
}

import MartletCore
import MartletOperators

/// The rearranged forms of a packed weight, and the operators that hold them.
final class PackedWeight: Sendable {
  /// Panels, shared by the operators.
  let constants = PreparedConstants()
  private let prepared = Lock<[String: any Operator]>([:])
  private let product = Lock<(any PlainMatrixProduct)?>(nil)

  /// The product without options that holds the weight's panels, once it was made.
  var plainProduct: (any PlainMatrixProduct)? {
    get { product.withLock { $0 } }
    set { product.withLock { $0 = newValue } }
  }

  /// The operator that was made for the weight under `key`, made now if it was not.
  ///
  /// Two threads that come first at once may both make it; one of the two is kept.
  func operation(
    _ key: String, _ make: () throws(MartletError) -> any Operator
  ) throws(MartletError) -> any Operator {
    if let known = prepared.withLock({ $0[key] }) { return known }
    let made = try make()
    return prepared.withLock { prepared in
      if let known = prepared[key] { return known }
      prepared[key] = made
      return made
    }
  }
}

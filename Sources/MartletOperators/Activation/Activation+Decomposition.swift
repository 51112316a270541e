import MartletCore

extension ActivationRow {
  /// Adds the function of `x` in ONNX's operators.
  func decompose(
    _ x: String, alpha: Float? = nil, beta: Float? = nil, into body: inout FunctionBody
  ) -> String {
    if !op.domain.isEmpty, let pattern = patterns.first {
      return pattern.decompose(x, into: &body)
    }
    var inputs: [String?] = [x]
    var attributes = attributes
    for (parameter, given) in [(self.alpha, alpha), (self.beta, beta)] {
      guard let parameter else { continue }
      let value = given ?? parameter.fallback
      switch parameter.source {
      case .attribute(let name): attributes[name] = .float(value)
      case .input(let index):
        while inputs.count <= index { inputs.append(nil) }
        if value != parameter.fallback { inputs[index] = body.scalar(value, like: x) }
      }
    }
    return body.add(op, inputs, attributes)
  }
}

extension ActivationPattern {
  /// Adds what the pattern makes of `x`.
  package func decompose(_ x: String, into body: inout FunctionBody) -> String {
    switch self {
    case .x: return x
    case .activation(let name, let argument, let alpha, let beta):
      let value = argument.decompose(x, into: &body)
      guard let row = ActivationTable.row(named: name) else { return value }
      return row.decompose(
        value, alpha: alpha.map { Float($0) }, beta: beta.map { Float($0) }, into: &body)
    case .apply(let op, let argument):
      return body.add(op, [argument.decompose(x, into: &body)])
    case .sum(let argument, let number):
      return body.add(
        "Add", [argument.decompose(x, into: &body), body.scalar(Float(number), like: x)])
    case .addition(let a, let b):
      return body.add("Add", [a.decompose(x, into: &body), b.decompose(x, into: &body)])
    case .power(let base, let exponent):
      return body.add(
        "Pow", [base.decompose(x, into: &body), body.scalar(Float(exponent), like: x)])
    case .product(let scale, let factors):
      var product: String?
      for factor in factors {
        let value = factor.decompose(x, into: &body)
        product = product.map { body.add("Mul", [$0, value]) } ?? value
      }
      guard let product else { return body.scalar(Float(scale), like: x) }
      return scale == 1 ? product : body.add("Mul", [product, body.scalar(Float(scale), like: x)])
    }
  }
}

extension FusedActivation {
  /// Adds the activation of `x` in ONNX's operators.
  func decompose(_ x: String, into body: inout FunctionBody) -> String {
    row.decompose(x, alpha: alpha, beta: beta, into: &body)
  }
}

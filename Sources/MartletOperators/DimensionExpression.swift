/// A computed extent in normal form: a sum of products of symbols and floored quotients, with integer
/// coefficients. Equal expressions that differ in how they were written are the same value.
///
/// Symbols stand for extents, which are never negative.
package struct DimensionExpression: Sendable, Hashable {
  /// What products are made of.
  package indirect enum Atom: Sendable, Hashable {
    case symbol(String)
    /// The quotient by a number above 1, rounded down; the coefficients lie in 0..<divisor.
    case quotient(DimensionExpression, by: Int)
  }

  package struct Term: Sendable, Hashable {
    /// Not 0.
    package var coefficient: Int
    /// In order; none in the constant term.
    package var atoms: [Atom]
  }

  /// By falling degree, then by atoms; no two with the same atoms.
  package let terms: [Term]
  /// The number of atoms, those inside quotients included, plus one for each term.
  private let size: Int

  /// Expressions of more terms than this, or of more than four times as many parts, are not followed.
  private static let limit = 16

  private init(sorted terms: [Term]) {
    self.terms = terms
    size = terms.reduce(0) { size, term in
      term.atoms.reduce(size + 1) { total, atom in
        if case .quotient(let inner, _) = atom { total + 1 + inner.size } else { total + 1 }
      }
    }
  }

  /// The sum of `terms`, whose atoms are in order; nil where it overflows or is too long.
  private init?(sum terms: [Term]) {
    var merged: [Term] = []
    for term in terms.sorted(by: { Term.precedes($0, $1) }) {
      guard let last = merged.last, last.atoms == term.atoms else {
        merged.append(term)
        continue
      }
      let (sum, overflow) = last.coefficient.addingReportingOverflow(term.coefficient)
      if overflow { return nil }
      merged[merged.count - 1].coefficient = sum
    }
    self.init(sorted: merged.filter { $0.coefficient != 0 })
    guard self.terms.count <= Self.limit, size <= 4 * Self.limit else { return nil }
  }

  /// nil: nothing is known.
  init?(_ dimension: Dimension) {
    switch dimension {
    case .known(0): self.init(sorted: [])
    case .known(let value): self.init(sorted: [Term(coefficient: value, atoms: [])])
    case .symbol(let name): self.init(sorted: [Term(coefficient: 1, atoms: [.symbol(name)])])
    case .expression(let expression): self = expression
    case .unknown: return nil
    }
  }

  /// The simplest dimension that says the same.
  var dimension: Dimension {
    guard let first = terms.first else { return .known(0) }
    if terms.count == 1 {
      if first.atoms.isEmpty { return .known(first.coefficient) }
      if first.coefficient == 1, first.atoms.count == 1, case .symbol(let name) = first.atoms[0] {
        return .symbol(name)
      }
    }
    return .expression(self)
  }

  // MARK: - Arithmetic; nil where a number overflows or the result is too long

  func adding(_ other: DimensionExpression) -> DimensionExpression? {
    DimensionExpression(sum: terms + other.terms)
  }

  func multiplied(by factor: Int) -> DimensionExpression? {
    multiplied(
      by: DimensionExpression(sorted: factor == 0 ? [] : [Term(coefficient: factor, atoms: [])]))
  }

  func multiplied(by other: DimensionExpression) -> DimensionExpression? {
    guard terms.count * other.terms.count <= Self.limit * Self.limit else { return nil }
    var products: [Term] = []
    for a in terms {
      for b in other.terms {
        let (product, overflow) = a.coefficient.multipliedReportingOverflow(by: b.coefficient)
        if overflow { return nil }
        let atoms = (a.atoms + b.atoms).sorted { Atom.precedes($0, $1) }
        products.append(Term(coefficient: product, atoms: atoms))
      }
    }
    return DimensionExpression(sum: products)
  }

  /// The quotient rounded down.
  func divided(by divisor: Int) -> DimensionExpression? {
    guard divisor > 1 else { return divisor == 1 ? self : nil }
    var (whole, rest) = ([Term](), [Term]())
    for term in terms {
      let quotient = Self.floored(term.coefficient, divisor)
      let remainder = term.coefficient &- quotient &* divisor
      if quotient != 0 { whole.append(Term(coefficient: quotient, atoms: term.atoms)) }
      if remainder != 0 { rest.append(Term(coefficient: remainder, atoms: term.atoms)) }
    }
    // A constant rest is less than the divisor.
    guard let first = rest.first, !first.atoms.isEmpty else {
      return DimensionExpression(sorted: whole)
    }
    let quotient: DimensionExpression?
    if let (inner, by, added) = Self.quotient(plusConstant: rest) {
      // floor((floor(x / a) + c) / b) = floor((x + c a) / (a b)).
      let (product, overflow) = by.multipliedReportingOverflow(by: divisor)
      let (shift, shiftOverflow) = added.multipliedReportingOverflow(by: by)
      guard !overflow, !shiftOverflow else { return nil }
      let shifted = DimensionExpression(
        sorted: shift == 0 ? [] : [Term(coefficient: shift, atoms: [])])
      quotient = inner.adding(shifted)?.divided(by: product)
    } else {
      quotient = Self.quotient(rest, divisor)
    }
    return quotient?.adding(DimensionExpression(sorted: whole))
  }

  /// The quotient of terms whose coefficients lie in 1..<divisor, in lowest terms: a factor of the
  /// divisor and of all coefficients but the constant goes, and the constant is rounded down.
  private static func quotient(_ terms: [Term], _ divisor: Int) -> DimensionExpression? {
    var factor = divisor
    for term in terms where !term.atoms.isEmpty {
      var rest = term.coefficient
      while rest != 0 { (factor, rest) = (rest, factor % rest) }
    }
    var reduced = terms
    for index in reduced.indices { reduced[index].coefficient /= factor }
    reduced.removeAll { $0.coefficient == 0 }
    let expression = DimensionExpression(sorted: reduced)
    // What is left may be a quotient itself.
    if factor > 1 { return expression.divided(by: divisor / factor) }
    let atom = Atom.quotient(expression, by: divisor)
    return DimensionExpression(sorted: [Term(coefficient: 1, atoms: [atom])])
  }

  /// The quotient by a number that divides each coefficient, or nil.
  func dividedExactly(by divisor: Int) -> DimensionExpression? {
    divisor > 0
      ? dividedExactly(
        by: DimensionExpression(sorted: [Term(coefficient: divisor, atoms: [])])) : nil
  }

  /// The quotient by a product that divides each term, or nil.
  func dividedExactly(by divisor: DimensionExpression) -> DimensionExpression? {
    guard divisor.terms.count == 1 else { return nil }
    let term = divisor.terms[0]
    var quotients: [Term] = []
    for var dividend in terms {
      guard dividend.coefficient != .min, dividend.coefficient % term.coefficient == 0 else {
        return nil
      }
      dividend.coefficient /= term.coefficient
      for atom in term.atoms {
        guard let place = dividend.atoms.firstIndex(of: atom) else { return nil }
        dividend.atoms.remove(at: place)
      }
      quotients.append(dividend)
    }
    return DimensionExpression(sum: quotients)
  }

  /// x, a and c where `terms` are floor(x / a) + c.
  private static func quotient(plusConstant terms: [Term])
    -> (inner: DimensionExpression, by: Int, added: Int)?
  {
    guard terms.count <= 2, terms[0].coefficient == 1, terms[0].atoms.count == 1,
      case .quotient(let inner, let by) = terms[0].atoms[0],
      terms.count == 1 || terms[1].atoms.isEmpty
    else { return nil }
    return (inner, by, terms.count == 2 ? terms[1].coefficient : 0)
  }

  private static func floored(_ a: Int, _ b: Int) -> Int {
    let quotient = a / b
    return a % b < 0 ? quotient - 1 : quotient
  }

  // MARK: - Asking

  /// A number that the value is never below, if all but the constant is known not to be negative.
  var lowerBound: Int? {
    var bound = 0
    for term in terms {
      if term.atoms.isEmpty {
        bound = term.coefficient
      } else if term.coefficient < 0 {
        return nil
      }
    }
    return bound
  }

  /// The value where `extent` gives those of the symbols; nil where one is missing or it overflows.
  func evaluated(_ extent: (String) -> Int?) -> Int? {
    var sum = 0
    for term in terms {
      var product = term.coefficient
      for atom in term.atoms {
        let factor: Int?
        switch atom {
        case .symbol(let name): factor = extent(name)
        case .quotient(let inner, let divisor):
          factor = inner.evaluated(extent).map { Self.floored($0, divisor) }
        }
        guard let factor else { return nil }
        let (next, overflow) = product.multipliedReportingOverflow(by: factor)
        if overflow { return nil }
        product = next
      }
      let (next, overflow) = sum.addingReportingOverflow(product)
      if overflow { return nil }
      sum = next
    }
    return sum
  }
}

// MARK: - Order

extension DimensionExpression.Atom {
  static func precedes(_ a: Self, _ b: Self) -> Bool {
    switch (a, b) {
    case (.symbol(let x), .symbol(let y)): x < y
    case (.symbol, .quotient): true
    case (.quotient, .symbol): false
    case (.quotient(let x, let m), .quotient(let y, let n)):
      m != n ? m < n : DimensionExpression.precedes(x, y)
    }
  }
}

extension DimensionExpression.Term {
  static func precedes(_ a: Self, _ b: Self) -> Bool {
    if a.atoms.count != b.atoms.count { return a.atoms.count > b.atoms.count }
    for (x, y) in zip(a.atoms, b.atoms) where x != y {
      return DimensionExpression.Atom.precedes(x, y)
    }
    return false
  }
}

extension DimensionExpression {
  fileprivate static func precedes(_ a: Self, _ b: Self) -> Bool {
    if a.terms.count != b.terms.count { return a.terms.count < b.terms.count }
    for (x, y) in zip(a.terms, b.terms) where x != y {
      if x.atoms != y.atoms { return Term.precedes(x, y) }
      return x.coefficient < y.coefficient
    }
    return false
  }
}

// MARK: - Text

extension DimensionExpression: CustomStringConvertible {
  /// `past + 1`, `2*h`, `(h + 1)/2 - 1`.
  package var description: String { text { $0 } }

  /// The expression with symbols written as `symbol` says.
  package func text(_ symbol: (String) -> String) -> String {
    var text = ""
    for term in terms {
      if text.isEmpty {
        text = term.coefficient < 0 ? "-" : ""
      } else {
        text += term.coefficient < 0 ? " - " : " + "
      }
      var factors = term.atoms.map { $0.text(symbol) }
      if term.coefficient.magnitude != 1 || factors.isEmpty {
        factors.insert("\(term.coefficient.magnitude)", at: 0)
      }
      text += factors.joined(separator: "*")
    }
    return text
  }
}

extension DimensionExpression.Atom {
  fileprivate func text(_ symbol: (String) -> String) -> String {
    switch self {
    case .symbol(let name): return symbol(name)
    case .quotient(let inner, let divisor):
      let isLone =
        inner.terms.count == 1 && inner.terms[0].coefficient == 1
        && inner.terms[0].atoms.count == 1
      return isLone ? "\(inner.text(symbol))/\(divisor)" : "(\(inner.text(symbol)))/\(divisor)"
    }
  }
}

import MartletCore

/// One row of a step: what the cells make of its sums.
///
/// `x` holds the inputs' part of all gates, `sums` the state's part, overwritten; `hidden` and `cells`
/// are the row's states, updated.
struct RecurrentRow<Scalar> {
  var x: UnsafePointer<Scalar>
  var sums: UnsafeMutablePointer<Scalar>
  var hidden: UnsafeMutablePointer<Scalar>
  var cells: UnsafeMutablePointer<Scalar>?
  /// The state as the second product of a GRU reads it.
  var reset: UnsafeMutablePointer<Scalar>?
  /// Where the new state goes too; nil: nowhere.
  var output: UnsafeMutablePointer<Scalar>?
}

/// The arithmetic of the cells, one row at a time.
struct RecurrentCells<Rows: RecurrentRows> {
  typealias Row = RecurrentRow<Rows.Scalar>

  let rows: Rows
  /// Elements of a gate.
  let width: Int
  let peepholes: UnsafePointer<Rows.Scalar>?
  let productBias: UnsafePointer<Rows.Scalar>?

  func simple(_ row: Row) {
    rows.add(width, row.x, row.sums, row.sums)
    rows.clip(width, row.sums)
    rows.activate(0, width, row.sums)
    row.hidden.update(from: row.sums, count: width)
    keep(row)
  }

  private func keep(_ row: Row) { row.output?.update(from: row.hidden, count: width) }

  /// Gates i, o, f, g.
  func lstm(_ row: Row, couplesGates: Bool) {
    guard let cells = row.cells else { return }
    if !couplesGates, peepholes == nil, rows.lstm(width, row) { return }
    let input = row.sums
    let output = input + width
    let forget = output + width
    let fresh = forget + width
    rows.add(4 * width, row.x, input, input)
    if let peepholes {
      peep(peepholes, at: cells, input, scratch: row.hidden)
      peep(peepholes + 2 * width, at: cells, forget, scratch: row.hidden)
      rows.clip(width, input)
      rows.clip(2 * width, forget)
      rows.activate(0, width, input)
      rows.activate(0, width, forget)
    } else {
      rows.clip(4 * width, input)
      rows.activate(0, 3 * width, input)
    }
    if couplesGates { rows.complement(width, input, forget) }
    rows.activate(1, width, fresh)
    rows.multiply(width, forget, cells, cells)
    rows.multiply(width, input, fresh, input)
    rows.add(width, cells, input, cells)
    if let peepholes {
      peep(peepholes + width, at: cells, output, scratch: row.hidden)
      rows.clip(width, output)
      rows.activate(0, width, output)
    }
    row.hidden.update(from: cells, count: width)
    rows.activate(2, width, row.hidden)
    rows.multiply(width, output, row.hidden, row.hidden)
    keep(row)
  }

  /// gate += weight * cells. The state serves as scratch: the step's product has read it.
  private func peep(
    _ weight: UnsafePointer<Rows.Scalar>, at cells: UnsafePointer<Rows.Scalar>,
    _ gate: UnsafeMutablePointer<Rows.Scalar>, scratch: UnsafeMutablePointer<Rows.Scalar>
  ) {
    rows.multiply(width, weight, cells, scratch)
    rows.add(width, gate, scratch, gate)
  }

  /// Gates z, r, n, the state's part of all three in `sums`.
  func gruResettingProduct(_ row: Row) {
    gruGates(row)
    let reset = row.sums + width
    let fresh = reset + width
    if let productBias { rows.add(width, fresh, productBias, fresh) }
    rows.multiply(width, reset, fresh, fresh)
    gruFinish(row)
  }

  /// z and r, and the state reset by r for the second product.
  func gruResettingState(_ row: Row) {
    gruGates(row)
    if let reset = row.reset { rows.multiply(width, row.sums + width, row.hidden, reset) }
  }

  private func gruGates(_ row: Row) {
    rows.add(2 * width, row.x, row.sums, row.sums)
    rows.clip(2 * width, row.sums)
    rows.activate(0, 2 * width, row.sums)
  }

  /// n from what `sums` holds for it, and the new state.
  func gruFinish(_ row: Row) {
    let update = row.sums
    let rest = update + width
    let fresh = rest + width
    rows.add(width, row.x + 2 * width, fresh, fresh)
    rows.clip(width, fresh)
    rows.activate(1, width, fresh)
    rows.complement(width, update, rest)
    rows.multiply(width, rest, fresh, fresh)
    rows.multiply(width, update, row.hidden, row.hidden)
    rows.add(width, fresh, row.hidden, row.hidden)
    keep(row)
  }
}

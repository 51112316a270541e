import Glibc
import MartletKernels
import Testing

@Suite("Recurrent rows")
struct VectorsRecurrentTests {
  private func place(_ x: [Float], _ edge: GuardedBuffer.Edge) throws -> GuardedBuffer {
    let buffer = try GuardedBuffer(x.count * 4, edge)
    for i in x.indices { buffer.floats()[i] = x[i] }
    return buffer
  }

  @Test(
    "an LSTM's row has the bits of the elementwise functions, and touches nothing else",
    arguments: VectorTable.runnable)
  func lstm(table: VectorTable) throws {
    var generator = SeededGenerator(seed: 31)
    for n in Array(1...40) + [63, 64, 65, 128, 200] {
      for edge in GuardedBuffer.Edge.allCases {
        var gates = (0..<8 * n).map { _ in generator.value() * 6 }
        if n > 3 { (gates[1], gates[n], gates[3 * n + 2]) = (.infinity, -.infinity, .nan) }
        let old = (0..<n).map { _ in generator.value() * 3 }
        let (x, sums) = (
          try place(Array(gates[..<(4 * n)]), edge), try place(Array(gates[(4 * n)...]), edge)
        )
        let cells = try place(old, edge)
        let (hidden, output) = (try GuardedBuffer(n * 4, edge), try GuardedBuffer(n * 4, edge))
        var row = mk_lstm_row(
          n: Int64(n), x: x.floats(), sums: sums.floats(), cells: cells.floats(),
          hidden: hidden.floats(), output: n % 2 == 0 ? output.floats() : nil)
        table.table.pointee.lstm_row(&row)

        let total = table.binary(
          MK_BINARY_ADD, Array(gates[..<(4 * n)]), Array(gates[(4 * n)...]))
        func gate(_ index: Int, _ function: Int) -> [Float] {
          table.unary(function, Array(total[index * n..<(index + 1) * n]))
        }
        let (sigmoid, tanh) = (MK_UNARY_SIGMOID, MK_UNARY_TANH)
        let multiply = { (a: [Float], b: [Float]) in zip(a, b).map { $0 * $1 } }
        let kept = multiply(gate(2, sigmoid), old)
        let fresh = multiply(gate(0, sigmoid), gate(3, tanh))
        let wantCells = zip(kept, fresh).map { $0 + $1 }
        let wantHidden = multiply(gate(1, sigmoid), table.unary(tanh, wantCells))
        for i in 0..<n {
          #expect(ulps(cells.floats()[i], Double(wantCells[i])) == 0, "\(n), \(i)")
          #expect(ulps(hidden.floats()[i], Double(wantHidden[i])) == 0, "\(n), \(i)")
          if n % 2 == 0 { #expect(ulps(output.floats()[i], Double(wantHidden[i])) == 0) }
        }
      }
    }
  }
}

import MartletCore

/// The loops around the tiles of one product, whatever its kernel row multiplies: K blocks outermost,
/// so that the operands' blocks stay in cache, and each element's sum goes on from where the block
/// before left it.
///
/// A work item is a range of rows by a range of columns; items of one product may run on any
/// threads in any order. No choice made here changes a bit of the result.
///
/// A kind of product is what conforms: how blocks of its operands come to lie as tiles read them, its
/// tile, and what is done with finished sums. Rows of int4 weights would hand out their panels with
/// the scales of the K block (`rhsBlock`), round rows of f32 to int8 and keep a scale for each in the
/// item (`lhsBlock`), call a tile that adds scaled sums in f32, and have bias and activation left to
/// `finish`; a K block is then a multiple of the weights' blocks.
protocol PanelLoop {
  associatedtype Row: KernelFamily
  associatedtype Right: PanelSource where Right.Row == Row
  /// A block of rhs as tiles read it.
  associatedtype Panels
  associatedtype Item: PanelItem where Item.Loop == Self

  var row: Row { get }
  var k: Int { get }
  /// Depth of a K block (a multiple of kr) and rows of a block of lhs.
  var kc: Int { get }
  var mc: Int { get }
  var rhs: Right { get set }
  var dst: UnsafeMutableRawPointer { get }

  /// Fills what of the item's scratch must be there before its blocks.
  func begin(_ item: Item)
  /// All columns of the item, rows `depth` of rhs.
  func rhsBlock(_ depth: Range<Int>, of item: Item) -> Panels
  func lhsBlock(_ block: ProductBlock, of item: Item) -> LeftBlock
  /// Runs the tiles of one block of lhs against one of rhs.
  func multiply(_ block: ProductBlock, _ lhs: LeftBlock, _ rhs: Panels, into item: Item)
  /// Makes the whole sums of some of the item's rows the result.
  func finish(_ rows: Range<Int>, of item: Item)
}

/// A work item's place in dst and in scratch.
protocol PanelItem {
  associatedtype Loop

  var rows: Range<Int> { get }
  var columns: Range<Int> { get }
  /// All that the item takes.
  var scratch: ScratchPlaces { get }

  /// Lays an item out; reads and writes no memory.
  init(_ loop: Loop, rows: Range<Int>, columns: Range<Int>, scratch: ScratchPlaces)
}

/// Some rows of a work item by a block of K.
struct ProductBlock {
  /// Counted from the item's first.
  let rows: Range<Int>
  let depth: Range<Int>
  /// Whether the block of K is the first one, or the last.
  let isFirst: Bool
  let isLast: Bool
}

/// A block of lhs as tiles read it: K contiguous.
struct LeftBlock {
  let start: UnsafeRawPointer
  /// Bytes between rows.
  let stride: Int
}

extension PanelLoop {
  /// Scratch bytes for items of at most `rows` by `columns`.
  func scratchBytes(rows: Int, columns: Int) -> Int {
    // To lay it out takes any address.
    Item(self, rows: 0..<rows, columns: 0..<columns, scratch: ScratchPlaces(at: dst))
      .scratch.byteCount
  }

  /// Computes rows × columns of dst. `columns` starts at a multiple of nr.
  func run(rows: Range<Int>, columns: Range<Int>, scratch: UnsafeMutableRawPointer) {
    row.configured {
      let item = Item(
        self, rows: rows, columns: columns, scratch: ScratchPlaces(at: scratch))
      begin(item)
      var p0 = 0
      repeat {
        let depth = p0..<min(p0 + kc, k)
        let panels = rhsBlock(depth, of: item)
        var i0 = 0
        repeat {
          let block = ProductBlock(
            rows: i0..<min(i0 + mc, rows.count), depth: depth, isFirst: p0 == 0,
            isLast: depth.upperBound == k)
          multiply(block, lhsBlock(block, of: item), panels, into: item)
          if block.isLast { finish(block.rows, of: item) }
          i0 = block.rows.upperBound
        } while i0 < rows.count
        p0 = depth.upperBound
      } while p0 < k
    }
  }
}

/// How rows are dealt to tiles: to tall ones first, then evenly: 7 rows on a tile of 6 are 4 and 3,
/// not 6 and 1.
struct Tiles {
  let count: Int
  private let tall: (count: Int, rows: Int)
  private let base: Int
  private let extra: Int

  /// `tall`: rows of a tall tile; 0: there is none.
  init(_ rows: Int, atMost tileRows: Int, tall tallRows: Int = 0) {
    tall = tallRows > 0 ? (rows / tallRows, tallRows) : (0, 0)
    let rest = rows - tall.count * tall.rows
    let even = (rest + tileRows - 1) / tileRows
    (base, extra) = even > 0 ? rest.quotientAndRemainder(dividingBy: even) : (0, 0)
    count = tall.count + even
  }

  func rows(_ index: Int) -> Int {
    guard index >= tall.count else { return tall.rows }
    return index - tall.count < extra ? base + 1 : base
  }
}

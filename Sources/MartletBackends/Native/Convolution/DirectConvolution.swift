import MartletCore
import MartletKernels

/// Convolution of float32 with constant weights, without an im2col matrix: output channels are the
/// lanes of the kernel, and elements of the image are broadcast from where they lie.
///
/// A work item is a block of one image's pixels and some panels of output channels. What is read of
/// the image is, by `DirectSource`, the image itself, a copy of a band of it with its padding, or, for
/// a kernel of one tap, its pixels gathered tile by tile. The sums run over the same terms in the same
/// order as those of `ImplicitProduct`, hence to the same bits, but for taps that lie outside the image:
/// those that do so at all pixels, and in `.areas` those that do so at a pixel, are left out.
struct DirectConvolution {
  private let problem: ConvolutionProblem
  private let weights: DirectWeights
  private let row: GEMMRow
  private let kernels: mk_conv_kernels
  private let strip: ProductEpilogue.Strip?
  private let source: DirectSource
  /// Output rows and columns of a block; rows are 1 where columns are not all.
  private let blockRows: Int
  private let blockColumns: Int
  private let isParallel: Bool
  private let execution: Execution

  /// Most pixels of a block, and the least that a block is divided into: their sums and what they read
  /// of the image stay in L2 while the weights pass by.
  static let mostPixels = 256
  private static let leastPixels = 48
  /// Most bytes of a block's copy.
  private static let copyBytes = 640 << 10
  /// Panels that a copied block is worth: copying takes a twentieth of their time.
  private static let copiedPanels = 16
  /// Output columns from which a row is divided.
  private static let widestRow = 512

  init(
    _ problem: ConvolutionProblem, _ weights: DirectWeights, _ row: GEMMRow,
    _ kernels: mk_conv_kernels, _ set: KernelSet, threads: Int
  ) {
    self.problem = problem
    self.weights = weights
    self.row = row
    self.kernels = kernels
    strip = ProductEpilogue.strip(problem.activation, set)
    source = DirectSource(problem, kernels, nr: row.nr)
    let (permitsBF16, refusal) = set.precision(for: problem.mode)
    execution = Execution(
      backend: "native", kernel: "direct_\(row.name)", precision: "fp32",
      reason: permitsBF16 ? problem.reasonForFP32 ?? refusal : refusal)
    let output = problem.output
    isParallel =
      threads > 1
      && Double(problem.groupDepth) * Double(output.count) * Double(problem.outChannels)
        * Double(problem.batch) >= Double(GEMMPlan.serialWork)
    if output.w > DirectConvolution.widestRow {
      let pieces = (output.w + DirectConvolution.mostPixels - 1) / DirectConvolution.mostPixels
      blockColumns = (output.w + pieces - 1) / pieces
      blockRows = 1
      return
    }
    blockColumns = output.w
    // As many rows as fit; fewer where there are too few blocks for the threads, unless panels make up
    // for them: every item copies its block, so one that copies takes many.
    var rows = max(1, min(output.h, DirectConvolution.mostPixels / max(output.w, 1)))
    while rows > 1, source.byteCount(rows: rows, columns: output.w) > DirectConvolution.copyBytes {
      rows -= 1
    }
    let least = max(1, DirectConvolution.leastPixels / max(output.w, 1))
    let panels = row.panels(problem.groupRows)
    let shares = panels / (source.form == .areas ? 2 : DirectConvolution.copiedPanels)
    func blocks() -> Int {
      problem.batch * problem.groups * ((output.h + rows - 1) / rows)
    }
    if isParallel, blocks() * shares < 4 * threads {
      while rows > least, blocks() < 4 * threads { rows = max(least, rows / 2) }
    }
    let down = (output.h + rows - 1) / rows
    blockRows = down > 0 ? (output.h + down - 1) / down : 1
  }

  private var panels: Int { row.panels(problem.groupRows) }

  /// - Throws: `outOfMemory`.
  func run(on pool: ThreadPool) throws(MartletError) -> Execution {
    let matrices = problem.batch * problem.groups
    let output = problem.output
    guard matrices > 0, output.count > 0, problem.groupRows > 0 else { return execution }
    if isRow {
      runRows(on: pool)
      return execution
    }
    let across = (output.w + blockColumns - 1) / blockColumns
    let blocks = (output.h + blockRows - 1) / blockRows * across
    var isRunning = false
    let hasMemory = ThreadScratch.withBytes(source.termBytes, .shared) { memory in
      let terms = source.fillTerms(memory, block: (blockRows, blockColumns))
      // Too few blocks of pixels for the threads: they share out the channels as well.
      var chunk = panels
      while isParallel, chunk > 1,
        matrices * blocks * ((panels + chunk - 1) / chunk) < 3 * pool.threadCount
      {
        chunk = (chunk + 1) / 2
      }
      let chunks = (panels + chunk - 1) / chunk
      let layout = Layout(self)
      isRunning = WorkItems.run(
        matrices * blocks * chunks, isParallel: isParallel, on: pool,
        scratchBytes: layout.byteCount
      ) { index, scratch in
        let (rest, part) = index.quotientAndRemainder(dividingBy: chunks)
        let (matrix, block) = rest.quotientAndRemainder(dividingBy: blocks)
        let (down, right) = block.quotientAndRemainder(dividingBy: across)
        let (y, x) = (down * blockRows, right * blockColumns)
        runItem(
          matrix: matrix, rows: y..<min(y + blockRows, output.h),
          columns: x..<min(x + blockColumns, output.w),
          panels: part * chunk..<min((part + 1) * chunk, panels), terms, layout, scratch)
      }
    }
    guard hasMemory, isRunning else {
      throw MartletError(.outOfMemory, "conv: no memory for a block of pixels")
    }
    return execution
  }

  /// On an image of one pixel a convolution of one tap is the product of a row with the weights.
  private var isRow: Bool {
    problem.input.count == 1 && problem.output.count == 1 && problem.kernel.count == 1
      && problem.padding.h == 0 && problem.padding.w == 0 && row.stream != nil
  }

  /// Some panels of some images' rows an item.
  private func runRows(on pool: ThreadPool) {
    let rows = min(problem.batch, row.streamMR)
    let chunk = isParallel ? max(1, panels / (4 * pool.threadCount)) : panels
    let chunks = (panels + chunk - 1) / chunk
    let parts = (problem.batch + rows - 1) / rows
    let depth = problem.groupDepth
    func runItem(_ index: Int) {
      let (rest, part) = index.quotientAndRemainder(dividingBy: chunks)
      let (group, block) = rest.quotientAndRemainder(dividingBy: parts)
      let image = block * rows
      let channel = group * problem.groupRows + part * chunk * row.nr
      let count = min(chunk * row.nr, problem.groupRows - part * chunk * row.nr)
      let offset = image * problem.outChannels + channel
      var epilogue = mk_epilogue()
      epilogue.alpha = 1
      epilogue.beta = 1
      epilogue.bias_n = problem.bias.map { $0 + channel }
      epilogue.residual = problem.residual.map { $0 + offset }
      epilogue.residual_stride = Int64(problem.outChannels * 4)
      (epilogue.act, epilogue.lo, epilogue.hi) = ProductEpilogue.tileActivation(
        problem.activation)
      var job = mk_gemm_stream()
      job.m = Int64(min(rows, problem.batch - image))
      job.n = Int64(count)
      job.k = Int64(depth)
      job.lhs = UnsafeRawPointer(problem.src + image * problem.inChannels + group * depth)
      job.lhs_stride = Int64(problem.inChannels * 4)
      job.rhs = weights.panel(part * chunk, group: group)
      job.rhs_panel_stride = Int64(weights.panelBytes)
      job.dst = UnsafeMutableRawPointer(problem.dst + offset)
      job.dst_stride = Int64(problem.outChannels * 4)
      withUnsafePointer(to: epilogue) {
        job.epilogue = $0
        row.stream?(&job)
      }
      guard let strip else { return }
      for line in 0..<Int(job.m) {
        let values = problem.dst + offset + line * problem.outChannels
        strip.function(Int64(count), values, values, strip.a, strip.b)
      }
    }
    let items = problem.groups * parts * chunks
    if isParallel {
      pool.parallelFor(items, runItem)
    } else {
      for index in 0..<items { runItem(index) }
    }
  }

  /// Where an item keeps what in its scratch.
  private struct Layout {
    let sums: Int
    let pixels: Int
    let byteCount: Int

    init(_ convolution: DirectConvolution) {
      let (rows, columns) = (convolution.blockRows, convolution.blockColumns)
      let count = rows * columns
      sums = (convolution.source.byteCount(rows: rows, columns: columns) + 127) / 64 * 64
      pixels = sums + count * convolution.row.nr * 4
      byteCount = pixels + count * MemoryLayout<mk_conv_place>.stride
    }
  }

  private func runItem(
    matrix: Int, rows: Range<Int>, columns: Range<Int>, panels: Range<Int>,
    _ terms: DirectSource.Terms, _ layout: Layout, _ scratch: UnsafeMutableRawPointer
  ) {
    let (image, group) = matrix.quotientAndRemainder(dividingBy: problem.groups)
    let depth = problem.inChannels / problem.groups
    let nr = row.nr
    let places = (scratch + layout.pixels).assumingMemoryBound(to: mk_conv_place.self)
    let sums = (scratch + layout.sums).assumingMemoryBound(to: Float.self)
    let read = source.prepare(
      problem.src + (image * problem.inChannels + group * depth) * problem.input.count,
      rows: rows, columns: columns, block: (blockRows, blockColumns),
      copy: scratch.assumingMemoryBound(to: Float.self), places: places)
    var job = mk_conv_sums()
    job.sums = sums
    var end = mk_conv_finish()
    end.pixels = Int64(rows.count * columns.count)
    end.sums = UnsafePointer(sums)
    end.sums_stride = Int64(nr)
    end.dst_stride = Int64(problem.output.count)
    (end.act, end.lo, end.hi) = ProductEpilogue.tileActivation(problem.activation)
    end.function = strip?.function
    end.a = strip?.a ?? 0
    end.b = strip?.b ?? 0
    let firstPixel = rows.lowerBound * problem.output.w + columns.lowerBound
    for panel in panels {
      let channels = min(nr, problem.groupRows - panel * nr)
      job.n = Int64(channels)
      let base = weights.panel(panel, group: group).assumingMemoryBound(to: Float.self)
      var c0 = 0
      repeat {
        let block = min(terms.channels, depth - c0)
        job.src = read.src + c0 * read.channelStride
        job.weights = base + c0 * problem.kernel.count * nr
        job.accumulates = c0 > 0
        var pixel = 0
        source.forEachArea(rows: rows, columns: columns) { area, ys, xs in
          let list = terms.lists[area]
          let count = ys.count * xs.count
          job.pixels = UnsafePointer(places + pixel)
          job.pixel_count = Int64(count)
          job.terms = list.first
          job.term_count = Int64(list.perChannel * block)
          kernels.sums(&job)
          pixel += count
        }
        c0 += block
      } while c0 < depth
      let firstChannel = group * problem.groupRows + panel * nr
      let offset = (image * problem.outChannels + firstChannel) * problem.output.count + firstPixel
      end.n = Int64(channels)
      end.bias = problem.bias.map { $0 + firstChannel }
      end.residual = problem.residual.map { $0 + offset }
      end.dst = problem.dst + offset
      kernels.finish(&end)
    }
  }
}

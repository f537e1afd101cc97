// The points of a map on a canvas: by WebGL, or pixel by pixel where that would not be any faster.

const QUICK = 4; // milliseconds that the points may take while the map moves: of more only a part is drawn then
const LEAST = 4; // of so many points one is always drawn

export class Painter {
  // `order` has neighbours one after the other: pixel by pixel, that is where time is lost or won.
  constructor(stage, points, order, again) {
    this.stage = stage;
    this.points = points;
    this.order = order;
    this.again = again;
    this.cost = 0; // milliseconds that all points took, pixel by pixel
    this.open(true);
  }

  open(fast) {
    this.canvas?.remove();
    this.canvas = document.createElement("canvas");
    this.canvas.className = "map-points";
    this.canvas.setAttribute("aria-hidden", "true");
    this.stage.prepend(this.canvas);
    this.gl = fast ? this.canvas.getContext("webgl", { antialias: false, failIfMajorPerformanceCaveat: true }) : null;
    if (this.gl && !drawnByProcessor(this.gl) && this.prepare(this.gl)) {
      this.canvas.addEventListener("webglcontextlost", () => {
        const { width, height, ratio } = this;
        this.open(false);
        this.resize(width, height, ratio);
        this.again();
      });
    } else if (fast) this.open(false);
    else this.preparePlain();
  }

  preparePlain() {
    const { x, y } = this.points;
    this.pen = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.columns = Float32Array.from(this.order, (point) => x[point]);
    this.rows = Float32Array.from(this.order, (point) => y[point]);
  }

  // Whether the points are pixels of a canvas with a pen, on which others may draw too.
  get plain() {
    return !this.gl;
  }

  prepare(gl) {
    const program = gl.createProgram();
    for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
      const shader = gl.createShader(kind);
      gl.shaderSource(shader, source);
      gl.compileShader(shader);
      gl.attachShader(program, shader);
    }
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) return false;
    gl.useProgram(program);
    const { x, y } = this.points;
    const places = new Float32Array(2 * x.length);
    for (let at = 0; at < x.length; at++) places.set([x[at], y[at]], 2 * at);
    this.attribute(program, "place", places, 2, gl.FLOAT);
    this.tints = this.attribute(program, "tint", new Uint8Array(4 * x.length), 4, gl.UNSIGNED_BYTE);
    this.uniforms = { view: gl.getUniformLocation(program, "view"), size: gl.getUniformLocation(program, "size") };
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    return true;
  }

  attribute(program, name, values, width, kind) {
    const { gl } = this, buffer = gl.createBuffer(), at = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, gl.DYNAMIC_DRAW);
    gl.enableVertexAttribArray(at);
    gl.vertexAttribPointer(at, width, kind, kind === gl.UNSIGNED_BYTE, 0, 0);
    return buffer;
  }

  tint(tints) {
    if (!this.gl) {
      const colors = new Int32Array(tints.buffer);
      this.colors = Int32Array.from(this.order, (point) => colors[point]);
      return;
    }
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.tints);
    this.gl.bufferData(this.gl.ARRAY_BUFFER, tints, this.gl.DYNAMIC_DRAW);
  }

  resize(width, height, ratio) {
    Object.assign(this, { width, height, ratio });
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    this.gl?.viewport(0, 0, this.canvas.width, this.canvas.height);
  }

  paint(view, radius) {
    if (this.gl) this.paintFast(this.gl, view, radius);
    else this.paintPlain(this.pen, view, radius, view.moving ? Math.min(LEAST, Math.max(1, Math.ceil(this.cost / QUICK))) : 1);
  }

  paintFast(gl, { x, y, scale, middle }, radius) {
    const across = (2 * scale) / this.width, down = (2 * scale) / this.height;
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform4f(this.uniforms.view, across, -down, (2 * middle[0]) / this.width - 1 - x * across, 1 - (2 * middle[1]) / this.height + y * down);
    gl.uniform1f(this.uniforms.size, 2 * radius * this.ratio + 1);
    gl.drawArrays(gl.POINTS, 0, this.points.x.length);
  }

  // Pixel by pixel on the background: for many small points quicker than any drawing command. Each `step`th point.
  paintPlain(pen, view, radius, step) {
    const started = performance.now();
    const { width, height } = this.canvas;
    if (!width || !height || !this.colors) return;
    if (this.image?.width !== width || this.image.height !== height) this.image = new ImageData(width, height);
    // Signed: numbers of 32 bits stay integers for the compiler.
    const pixels = new Int32Array(this.image.data.buffer);
    pixels.fill(this.ground(pen, view.ground));
    const { columns, rows, colors } = this, [reach, disc] = discOf(radius * this.ratio, width);
    const scale = view.scale * this.ratio, right = width - reach, bottom = height - reach;
    const left = view.middle[0] * this.ratio - view.x * scale + 0.5, top = view.middle[1] * this.ratio - view.y * scale + 0.5;
    for (let at = 0; at < colors.length; at += step) {
      const column = (columns[at] * scale + left) | 0, row = (rows[at] * scale + top) | 0;
      if (column < reach || row < reach || column >= right || row >= bottom) continue;
      const color = colors[at], opacity = color >>> 24, rest = 255 - opacity, middle = row * width + column;
      const redBlue = Math.imul(color & 0xff00ff, opacity), green = Math.imul((color >>> 8) & 0xff, opacity);
      for (let part = 0; part < disc.length; part++) {
        const pixel = middle + disc[part], under = pixels[pixel];
        const both = ((Math.imul(under & 0xff00ff, rest) + redBlue) >>> 8) & 0xff00ff;
        pixels[pixel] = 0xff000000 | both | ((Math.imul((under >>> 8) & 0xff, rest) + green) & 0xff00);
      }
    }
    pen.putImageData(this.image, 0, 0);
    if (step === 1) this.cost = performance.now() - started;
  }

  // A colour in whatever way it is written, as a pixel.
  ground(pen, color) {
    if (this.known !== color) {
      pen.fillStyle = color;
      pen.fillRect(0, 0, 1, 1);
      this.pixel = new Int32Array(pen.getImageData(0, 0, 1, 1).data.buffer)[0];
      this.known = color;
    }
    return this.pixel;
  }

  destroy() {
    this.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}

const VERTEX = `
attribute vec2 place;
attribute vec4 tint;
uniform vec4 view;
uniform mediump float size;
varying vec4 color;
void main() {
  gl_Position = vec4(place * view.xy + view.zw, 0.0, 1.0);
  gl_PointSize = size;
  color = tint;
}`;

const FRAGMENT = `
precision mediump float;
uniform float size;
varying vec4 color;
void main() {
  float inside = clamp(size * (0.5 - distance(gl_PointCoord, vec2(0.5))), 0.0, 1.0);
  gl_FragColor = vec4(color.rgb, 1.0) * color.a * inside;
}`;

// Whether a processor does the graphics card's work: there, plain pixels take a small part of the time.
function drawnByProcessor(gl) {
  const details = gl.getExtension("WEBGL_debug_renderer_info");
  return /swiftshader|llvmpipe|softpipe|basic render/i.test(gl.getParameter(details ? details.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
}

// How far a disc reaches, and where its pixels are from its middle, in a picture of `width`.
function discOf(radius, width) {
  const reach = Math.max(0, Math.floor(radius)), disc = [];
  for (let row = -reach; row <= reach; row++) {
    const half = Math.floor(Math.sqrt(Math.max(0, radius ** 2 - row ** 2)));
    for (let column = -half; column <= half; column++) disc.push(row * width + column);
  }
  return [reach, Int32Array.from(disc)];
}
